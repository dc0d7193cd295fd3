// A client and a server talking to each other, with what is in flight between them changed, dropped or doubled, and streams begun, answered, reset
// and drained in between. Properties: as for either alone; and where nothing was changed in flight no connection is lost and both ends come to rest.
//
// An input is a list of steps of two bytes: what to do, and to how much or where.
#include "h2_fuzz.h"

enum { STREAMS_MAX = 20, FLIGHT_MAX = 200000 };

static void begin(struct h2_pair *pair, uint8_t amount) {
    struct codec *codec = pair->client.codec;
    if (codec->refuses_new || codec->streams_open >= codec->streams_max || pair->client.count >= STREAMS_MAX)
        return;
    bool end = (amount & 1) != 0;
    struct owner_stream *item = h2_request(&pair->client, (amount & 2) != 0 ? "POST" : "HEAD", "/path?query", end);
    if (!end)
        owner_stream_send(item, BYTES("the body of a request"), (amount & 4) != 0, NULL);
}

static void mutate(struct text *flight, uint8_t what, uint8_t amount) {
    if (flight->len == 0)
        return;
    size_t at = (size_t)amount * flight->len / 256;
    if (what % 3 == 0) {
        flight->at[at] = (char)(flight->at[at] ^ (1 << (what % 8)));
    } else if (what % 3 == 1) {
        flight->len = at; // the rest is lost
    } else if (flight->len < FLIGHT_MAX) {
        struct text doubled = {0};
        text_add(&doubled, bytes_from(flight->at + at, flight->len - at));
        text_add(flight, text_bytes(&doubled));
        text_dispose(&doubled);
    }
}

static void signal(struct h2_pair *pair, uint8_t amount) {
    static const enum codec_signal signals[] = {CODEC_PING, CODEC_DRAIN, CODEC_DRAIN_FINAL};
    struct codec *codec = (amount & 1) != 0 ? pair->client.codec : pair->server.codec;
    codec->ops->signal(codec, signals[amount / 2 % 3]);
}

// False for a step that makes the wire unreliable.
static bool step(struct h2_pair *pair, uint8_t what, uint8_t amount) {
    text_add(&pair->to_server, codec_owner_sent(&pair->client));
    text_add(&pair->to_client, codec_owner_sent(&pair->server));
    switch (what % 8) {
    case 0:
        begin(pair, amount);
        break;
    case 1:
    case 2:
        h2_deliver(&pair->to_server, &pair->server, 1 + (size_t)amount * amount);
        break;
    case 3:
    case 4:
        h2_deliver(&pair->to_client, &pair->client, 1 + (size_t)amount * amount);
        break;
    case 5:
        h2_act((amount & 1) != 0 ? &pair->client : &pair->server, &pair->rng);
        break;
    case 6:
        signal(pair, amount);
        break;
    default:
        if (what < 128)
            break;
        mutate((what & 8) != 0 ? &pair->to_client : &pair->to_server, (uint8_t)(what >> 4), amount);
        return false;
    }
    return true;
}

static void end_all(struct codec_owner *owner) {
    for (struct owner_stream *item = owner->streams; item != NULL; item = item->next)
        if (item->stream.codec != NULL)
            h2_reset(item, ERROR_CANCELLED);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 1)
        return 0;
    struct codec_limits limits = h2_fuzz_limits((input[0] & 1) != 0);
    struct h2_pair pair;
    h2_pair_init(&pair, &limits, input[0]);
    bool reliable = true;
    for (size_t i = 1; i + 1 < size; i += 2) {
        reliable = step(&pair, input[i], input[i + 1]) && reliable;
        h2_check_owner(&pair.client);
        h2_check_owner(&pair.server);
    }
    h2_pair_settle(&pair, 1000);
    if (reliable) {
        CHECK(pair.client.error == OK && pair.server.error == OK);
        end_all(&pair.client);
        end_all(&pair.server);
        h2_pair_settle(&pair, 1000);
        CHECK(pair.client.error == OK && pair.server.error == OK);
        CHECK(pair.client.codec->streams_open == 0 && pair.server.codec->streams_open == 0);
    }
    h2_check_owner(&pair.client);
    h2_check_owner(&pair.server);
    h2_pair_dispose(&pair);
    return 0;
}
