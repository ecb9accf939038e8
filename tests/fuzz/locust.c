// libs: -Lsim
// SPDX-License-Identifier: GPL-2.0-only
/* Whatever a Locust master sends: decoded, and its options asked for. */
#include <stdint.h>
#include <stdlib.h>
#include "sim/locust/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const options[] = {"mqtt_broker", "mqtt_topic", "mqtt_payload",
					      "mqtt_qos"};
	struct locust_frame f = {0};
	struct locust_msg m;
	const char *why;
	char text[64];
	size_t i;

	if (locust_decode(data, size, &m, &why))
		return 0;
	for (i = 0; i < sizeof(options) / sizeof(*options); i++)
		locust_option(&m, options[i], text, sizeof(text));
	/* What came in under any name goes out as a sound message. */
	if (m.n_classes && !locust_put_spawning_complete(&f, m.type, m.classes, m.n_classes)) {
		struct locust_msg back;

		if (locust_decode(f.data, f.len, &back, &why))
			abort();
		locust_msg_free(&back);
	}
	locust_frame_free(&f);
	locust_msg_free(&m);
	return 0;
}
