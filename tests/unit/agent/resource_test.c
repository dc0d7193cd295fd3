// Who tells: which name wins, and what of the environment is taken.
#include "agent/resource.h"

#include "base/check.h"
#include "telemetry/proto/resource.pb-c.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct world {
    struct pool_source source;
    struct pool pool;
    struct proxy_config proxy;
    Otlp__Resource *resource;
};

static const char *value_of(const struct world *world, const char *key) {
    const char *value = NULL;
    for (size_t i = 0; i < world->resource->n_attributes; i++) {
        if (strcmp(world->resource->attributes[i]->key, key) != 0)
            continue;
        assert_null(value); // each key once
        value = world->resource->attributes[i]->value->string_value;
    }
    return value == NULL ? "" : value;
}

static void world_init(struct world *world, const char *const *variables) {
    struct otel_environment *environment = otel_environment_create(variables);
    pool_source_init(&world->source, 4);
    pool_init(&world->pool, &world->source);
    const struct otlp_origin origin = resource_encode(&world->proxy, environment, "id", &world->pool);
    assert_int_equal(origin.resource.at[0], 0x0a);
    const size_t head = (origin.resource.at[1] & 0x80) != 0 ? 3 : 2;
    world->resource = otlp__resource__unpack(NULL, origin.resource.len - head, (const uint8_t *)origin.resource.at + head);
    assert_non_null(world->resource);
    otel_environment_destroy(environment);
}

static void world_dispose(struct world *world) {
    otlp__resource__free_unpacked(world->resource, NULL);
    pool_dispose(&world->pool);
    pool_source_dispose(&world->source);
}

static void a_proxy_tells_its_service_and_namespace(void **state) {
    (void)state;
    struct world world = {.proxy = {.name = BYTES("courses-1"), .namespace_name = BYTES("school"), .service = BYTES("courses")}};
    world_init(&world, (const char *const[]){NULL});
    assert_string_equal(value_of(&world, "service.name"), "courses");
    assert_string_equal(value_of(&world, "service.namespace"), "school");
    assert_string_equal(value_of(&world, "service.instance.id"), "id");
    assert_string_equal(value_of(&world, "telemetry.sdk.name"), "outrigger");
    assert_string_equal(value_of(&world, "telemetry.sdk.version"), OUTRIGGER_VERSION);
    assert_string_equal(value_of(&world, "telemetry.sdk.language"), "c");
    world_dispose(&world);
    world.proxy.service = BYTES_NONE;
    world_init(&world, (const char *const[]){NULL});
    assert_string_equal(value_of(&world, "service.name"), "courses-1");
    world_dispose(&world);
}

static void variables_win(void **state) {
    (void)state;
    struct world world = {.proxy = {.name = BYTES("courses-1"), .namespace_name = BYTES("school"), .service = BYTES("courses")}};
    char list[] = "OTEL_RESOURCE_ATTRIBUTES=service.name=other, k8s.pod.name=p%2C1 ,service.instance.id=a.b.c";
    world_init(&world, (const char *const[]){list, NULL});
    assert_string_equal(value_of(&world, "service.name"), "other");
    assert_string_equal(value_of(&world, "k8s.pod.name"), "p,1");
    assert_string_equal(value_of(&world, "service.instance.id"), "a.b.c");
    world_dispose(&world);
    char name[] = "OTEL_SERVICE_NAME=mine";
    world_init(&world, (const char *const[]){list, name, NULL});
    assert_string_equal(value_of(&world, "service.name"), "mine");
    world_dispose(&world);
}

static void a_list_that_cannot_be_read_is_nothing(void **state) {
    (void)state;
    static char lists[][64] = {"OTEL_RESOURCE_ATTRIBUTES=a=1,b=%ff", "OTEL_RESOURCE_ATTRIBUTES=a=1,b=x\xc3", "OTEL_RESOURCE_ATTRIBUTES=a=1,b",
                               "OTEL_RESOURCE_ATTRIBUTES=a=1,b=%zz", "OTEL_RESOURCE_ATTRIBUTES=a=1,=2",      "OTEL_RESOURCE_ATTRIBUTES=a=1,b=%00",
                               "OTEL_RESOURCE_ATTRIBUTES=a=1,a=2",   "OTEL_RESOURCE_ATTRIBUTES=a=1,b=%4"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct world world = {.proxy = {.name = BYTES("p"), .namespace_name = BYTES("default")}};
        world_init(&world, (const char *const[]){lists[i], NULL});
        assert_string_equal(value_of(&world, "a"), "");
        assert_string_equal(value_of(&world, "service.name"), "p");
        world_dispose(&world);
    }
}

static void texts_are_utf8(void **state) {
    (void)state;
    struct world world = {.proxy = {.name = BYTES("p"), .namespace_name = BYTES("default")}};
    char name[] = "OTEL_SERVICE_NAME=k\xfc"
                  "che",
         list[] = "OTEL_RESOURCE_ATTRIBUTES=town=K%C3%B6ln";
    world_init(&world, (const char *const[]){name, list, NULL});
    assert_string_equal(value_of(&world, "service.name"), "k\xef\xbf\xbd"
                                                          "che");
    assert_string_equal(value_of(&world, "town"), "K\xc3\xb6ln");
    world_dispose(&world);
}

static void many_attributes_leave_room_for_the_name(void **state) {
    (void)state;
    struct world world = {.proxy = {.name = BYTES("p"), .namespace_name = BYTES("default")}};
    char list[2048] = "OTEL_RESOURCE_ATTRIBUTES=";
    size_t length = strlen(list);
    for (int i = 0; i < 140; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%sa%d=1", i == 0 ? "" : ",", i);
    world_init(&world, (const char *const[]){list, NULL});
    assert_string_equal(value_of(&world, "service.name"), "p");
    assert_string_equal(value_of(&world, "telemetry.sdk.version"), OUTRIGGER_VERSION);
    assert_true(world.resource->n_attributes <= 128);
    world_dispose(&world);
}

static void an_id_is_a_uuid_of_version_4(void **state) {
    (void)state;
    char id[INSTANCE_ID_BYTES], other[INSTANCE_ID_BYTES];
    struct rng rng;
    rng_init(&rng, 7);
    instance_id_make(&rng, id);
    instance_id_make(&rng, other);
    assert_string_not_equal(id, other);
    for (int i = 0; i < INSTANCE_ID_BYTES - 1; i++)
        assert_true(i == 8 || i == 13 || i == 18 || i == 23 ? id[i] == '-' : strchr("0123456789abcdef", id[i]) != NULL);
    assert_int_equal(id[14], '4');
    assert_non_null(strchr("89ab", id[19]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proxy_tells_its_service_and_namespace), cmocka_unit_test(variables_win),
        cmocka_unit_test(a_list_that_cannot_be_read_is_nothing),   cmocka_unit_test(texts_are_utf8),
        cmocka_unit_test(many_attributes_leave_room_for_the_name), cmocka_unit_test(an_id_is_a_uuid_of_version_4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
