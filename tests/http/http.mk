# SPDX-License-Identifier: GPL-2.0-only
# The OpenAPI file is inside squalld.
$(B)/user/squalld/openapi.o: user/squalld/openapi.json
