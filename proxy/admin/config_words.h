// Words of the policy language for what a snapshot has, as several pages show it.
#ifndef ADMIN_CONFIG_WORDS_H
#define ADMIN_CONFIG_WORDS_H

#include "config/snapshot.h"

struct json_t; // jansson

const char *role_word(enum listener_role role);
const char *mtls_word(enum mtls_mode mode);

// Sets `place` to "file:line", where there is one.
void json_set_place(struct json_t *object, const struct place *place);

#endif
