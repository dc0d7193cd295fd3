// The admin of a test, one for each, and its pages as JSON.
#ifndef TESTS_UNIT_ADMIN_ONE_ADMIN_H
#define TESTS_UNIT_ADMIN_ONE_ADMIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "admin_client.h"

#include <jansson.h>

static struct admin_client client;

static inline int begin(void **state) {
    (void)state;
    client_open(&client);
    return 0;
}

static inline int end(void **state) {
    (void)state;
    client_dispose(&client);
    return 0;
}

static inline json_t *get_json(const char *target) {
    const char *response = client_get(&client, target);
    assert_int_equal(status_of(response), 200);
    json_t *value = json_loads(body_of(response), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(value);
    return value;
}

#endif
