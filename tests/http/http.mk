# SPDX-License-Identifier: GPL-2.0-only
# The OpenAPI file is inside squalld.
$(B)/user/squalld/api/openapi.o: user/squalld/api/openapi.json
