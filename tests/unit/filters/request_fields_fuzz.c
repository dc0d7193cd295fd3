// The small things that are read from the fields of requests and answers, which come from anybody: durations, addresses of those who forwarded it, cookies and parameters for keys, waits that an
// answer asks for. The input is a path, then a field a line. Properties: what is read is in its bounds, is what stands there, and written again it is the same; a key that is guarded is never of
// what a careless reader would see otherwise.
#include "filters/deadline.h"

#include "base/check.h"
#include "config/request_key.h"
#include "config/snapshot.h"
#include "http/form.h"
#include "http/headers.h"
#include "stream/attempt.h"
#include "stream/bound.h"
#include "stream/forwarded_for.h"
#include "stream/request_key.h"
#include "stream/retry_rule.h"
#include "stream/stream.h"
#include "support/field_lines.h"
#include "upstream/upstream_stream.h"

#include <arpa/inet.h>

#define INPUT_MAX 8192
#define WALL (UINT64_C(1767225600) * NS_PER_S)
#define RESPECTED (2 * NS_PER_S)
#define DAY (UINT64_C(24) * 3600 * NS_PER_S)

struct world {
    struct pool_source chunks;
    struct snapshot snapshot;
    struct bound_snapshot bound;
    struct traffic_config traffic;
    struct cidr trusted;
    union address peer;
    struct head request;
    struct stream stream;
    struct attempt attempt;
};

static void world_init(struct world *world, struct bytes text) {
    *world = (struct world){.peer = {.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)}}};
    pool_source_init(&world->chunks, 4);
    pool_init(&world->stream.pool, &world->chunks);
    field_lines_read_request(&world->request, &world->stream.pool, text);
    CHECK(cidr_parse(BYTES("10.0.0.0/8"), &world->trusted));
    world->snapshot.proxy.trusted_proxies = &world->trusted;
    world->snapshot.proxy.trusted_proxy_count = 1;
    world->bound.snapshot = &world->snapshot;
    world->stream.bound = &world->bound;
    world->stream.request = &world->request;
    world->stream.client.address = &world->peer;
}

// ---- durations

static void read_durations(struct world *world) {
    FIELDS_EACH(&world->request.fields, field) {
        nanoseconds timeout, again;
        CHECK(!timeout_ms_parse(field->value, &timeout) || timeout <= DAY);
        if (!grpc_timeout_parse(field->value, &timeout))
            continue;
        CHECK(field->value.len <= 9);
        const struct bytes printed = grpc_timeout_print(timeout, &world->stream.pool);
        CHECK(printed.len <= 9 && grpc_timeout_parse(printed, &again) && again <= timeout);
        CHECK(bytes_equal(printed, grpc_timeout_print(again, &world->stream.pool)));
    }
}

// ---- who forwarded it

static void read_forwarded(struct world *world) {
    forwarded_for_read(&world->stream);
    const struct forwarded_for *forwarded = &world->stream.forwarded;
    struct ip ip;
    CHECK(forwarded->is_believed && stream_client_ip(&world->stream, &ip));
    CHECK(forwarded->names_client || forwarded->chain.len == 0);
    if (!forwarded->names_client)
        return;
    const struct bytes list = forwarded_for_list(&world->stream);
    CHECK(forwarded->chain.len > 0 && forwarded->chain.len <= list.len);
    CHECK(bytes_equal(forwarded->chain, bytes_from(list.at + list.len - forwarded->chain.len, forwarded->chain.len)));
}

// ---- keys

static void read_keys(struct world *world) {
    static const struct request_key_part parts[] = {{.type = KEY_HEADER, .name = BYTES_OF("x-tenant-id")},
                                                    {.type = KEY_HEADER, .name = BYTES_OF("host")},
                                                    {.type = KEY_COOKIE, .name = BYTES_OF("session")},
                                                    {.type = KEY_QUERY, .name = BYTES_OF("q")},
                                                    {.type = KEY_PATH}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct request_key_part part = parts[i];
        const struct request_key key = {.parts = &part, .count = 1};
        uint64_t open = 0, guarded = 0, again = 0;
        struct bytes value;
        const bool is_open = request_key_hash(&key, &world->stream, &open);
        const bool is_guarded = request_key_hash_guarded(&key, &world->stream, &guarded);
        CHECK(request_key_hash(&key, &world->stream, &again) == is_open && again == open);
        CHECK(request_key_value_guarded(&key, &world->stream, &value) == is_guarded);
        CHECK(!is_guarded || request_key_hash_guarded_text(value) == guarded);
        CHECK(!is_guarded || is_open || part.type == KEY_HEADER); // of which another spelling is one too
    }
}

static void read_form(struct world *world) {
    const struct bytes path = world->request.path;
    const size_t mark = bytes_find(path, '?');
    const struct bytes query = mark == path.len ? BYTES_NONE : bytes_from(path.at + mark + 1, path.len - mark - 1);
    struct form form;
    struct bytes rest = query, text, value;
    form_parse(&form, query, &world->stream.pool);
    while (bytes_next(&rest, '&', &text)) {
        const struct bytes name = form_decode(bytes_from(text.at, bytes_find(text, '=')), &world->stream.pool);
        CHECK(name.len <= text.len);
        CHECK(text.len == 0 || form_find(&form, name, &value));
    }
}

// ---- waits

static void read_waits(struct world *world) {
    world->traffic.retry.respect_retry_after = RESPECTED;
    world->stream.traffic = &world->traffic;
    world->attempt.state = ATTEMPT_ANSWERED;
    world->attempt.up.codec_stream.head = world->request;
    for (int is_grpc = 0; is_grpc < 2; is_grpc++) {
        nanoseconds wait = 1;
        world->stream.request_is_grpc = is_grpc != 0;
        const bool may = retry_wait_asked(&world->stream, &world->attempt, WALL, &wait);
        CHECK(may ? wait <= RESPECTED : wait == 0 || wait > RESPECTED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    static struct world world;
    if (size > INPUT_MAX)
        return 0;
    world_init(&world, bytes_from((const char *)input, size));
    read_durations(&world);
    read_forwarded(&world);
    read_keys(&world);
    read_form(&world);
    read_waits(&world);
    pool_dispose(&world.stream.pool);
    CHECK(world.chunks.used == 0);
    pool_source_dispose(&world.chunks);
    return 0;
}
