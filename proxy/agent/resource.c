// The attributes, in the order of who wins. See resource.h.
#include "agent/resource.h"

#include "base/check.h"
#include "config/otel_resource.h"
#include "telemetry/proto/resource.pb-c.h"
#include "telemetry/text_escape.h"

#include <stdio.h>

#define OWN_MAX 8    // attributes that are there whatever the environment gives
#define FIELD_1 0x0a // tag of what has a length

void instance_id_make(struct rng *rng, char id[INSTANCE_ID_BYTES]) {
    const uint64_t high = rng_next(rng), low = rng_next(rng);
    const int length = snprintf(id, INSTANCE_ID_BYTES, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(high >> 32), (unsigned)(high >> 16 & 0xffff),
                                (unsigned)(high & 0xfff), (unsigned)(low >> 48 & 0x3fff) | 0x8000, (unsigned long long)(low & 0xffffffffffff));
    CHECK(length == INSTANCE_ID_BYTES - 1);
}

// The first with a key counts.
static void add(struct otel_attributes *attributes, struct bytes key, struct bytes value) {
    if (value.len == 0 || attributes->count == OTEL_ATTRIBUTES_MAX)
        return;
    for (uint32_t i = 0; i < attributes->count; i++)
        if (bytes_equal(attributes->items[i].key, key))
            return;
    attributes->items[attributes->count].key = key;
    attributes->items[attributes->count++].value = value;
}

static struct bytes field_1(struct pool *pool, const ProtobufCMessage *message) {
    const size_t length = protobuf_c_message_get_packed_size(message);
    char *at = pool_alloc(pool, length + 6);
    size_t head = 0;
    at[head++] = FIELD_1;
    size_t left = length;
    for (; left >= 0x80; left >>= 7)
        at[head++] = (char)(left | 0x80);
    at[head++] = (char)left;
    protobuf_c_message_pack(message, (uint8_t *)at + head);
    return bytes_from(at, head + length);
}

static char *text_in(struct pool *pool, struct bytes text) {
    size_t taken;
    char *copy = pool_alloc(pool, 3 * text.len + 1); // each byte may become U+FFFD
    copy[text_to_utf8(copy, 3 * text.len, text, &taken)] = '\0';
    return copy;
}

static struct bytes encode(const struct otel_attributes *attributes, struct pool *pool) {
    Otlp__Resource resource = OTLP__RESOURCE__INIT;
    resource.n_attributes = attributes->count;
    resource.attributes = pool_alloc(pool, attributes->count * sizeof(resource.attributes[0]) + 1);
    for (uint32_t i = 0; i < attributes->count; i++) {
        Otlp__KeyValue *pair = resource.attributes[i] = pool_alloc(pool, sizeof *pair);
        Otlp__AnyValue *value = pool_alloc(pool, sizeof *value);
        otlp__key_value__init(pair);
        otlp__any_value__init(value);
        value->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
        value->string_value = text_in(pool, attributes->items[i].value);
        pair->key = text_in(pool, attributes->items[i].key);
        pair->value = value;
    }
    return field_1(pool, &resource.base);
}

struct otlp_origin resource_encode(const struct proxy_config *proxy, const struct otel_environment *environment, const char *instance_id,
                                   struct pool *pool) {
    static char scope_name[] = "outrigger", scope_version[] = OUTRIGGER_VERSION;
    struct otel_attributes attributes = {.count = 0};
    struct otel_attributes given;
    add(&attributes, BYTES("service.name"), otel_variable(environment, "OTEL_SERVICE_NAME"));
    (void)otel_resource_read(environment, pool, &given); // who froze the documents has told of one that cannot be read
    for (uint32_t i = 0; i < given.count && attributes.count < OTEL_ATTRIBUTES_MAX - OWN_MAX; i++)
        add(&attributes, given.items[i].key, given.items[i].value);
    add(&attributes, BYTES("service.name"), proxy->service);
    add(&attributes, BYTES("service.name"), proxy->name);
    add(&attributes, BYTES("service.namespace"), proxy->namespace_name);
    add(&attributes, BYTES("service.instance.id"), bytes_from_text(instance_id));
    add(&attributes, BYTES("telemetry.sdk.name"), bytes_from_text(scope_name));
    add(&attributes, BYTES("telemetry.sdk.language"), BYTES("c"));
    add(&attributes, BYTES("telemetry.sdk.version"), bytes_from_text(scope_version));
    Otlp__InstrumentationScope scope = OTLP__INSTRUMENTATION_SCOPE__INIT;
    scope.name = scope_name;
    scope.version = scope_version;
    return (struct otlp_origin){.resource = encode(&attributes, pool), .scope = field_1(pool, &scope.base)};
}
