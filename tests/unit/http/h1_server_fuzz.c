// What any client may send. Properties: the same comes of it however it is cut; what is told obeys the grammar and the limits; and a request that is sent on, as
// a proxy does, arrives at the next server as it was told. And whatever the owner does meanwhile, the contract of the codec holds.
//
// The first byte of an input chooses limits, whether who asks for WebSocket gets it, and whether the connection ends behind it, the second the cutting; the rest is what the client sends.
#include "h1_fuzz.h"

#include "http/canonical.h"

static void check_request(const struct owner_stream *item, const struct codec_limits *limits) {
    const struct head *head = &item->stream.head;
    check_fields(&head->fields, limits);
    check_fields(&item->stream.trailers, limits);
    CHECK(head->version == HTTP_1_0 || head->version == HTTP_1_1);
    CHECK(head->authority.len == 0 ? head->version == HTTP_1_0 : authority_is_valid(head->authority));
    CHECK(head->path.len > 0 && head->path.len <= limits->url_bytes + 1);
    CHECK(head->path.at[0] == '/' || (head->method == METHOD_OPTIONS && bytes_equal(head->path, BYTES("*"))));
    const struct field *host = fields_find(&head->fields, FIELD_HOST);
    CHECK(host == NULL || (bytes_equal(host->value, head->authority) && fields_find_next(&head->fields, host) == NULL));
    CHECK(!item->ended || head->content_length < 0 || (uint64_t)head->content_length == item->body.len);
}

static void describe_request(struct text *to, const struct owner_stream *item) {
    const struct head *head = &item->stream.head;
    text_format(to, "%.*s %.*s %.*s %d %d\n", BYTES_FORMAT(head->method_text), BYTES_FORMAT(head->authority), BYTES_FORMAT(head->path),
                head->expect_continue, head->te_trailers);
    describe_message(to, item);
}

static void check_round_trip(const struct owner_stream *item) {
    struct codec_limits limits = codec_owner_limits();
    struct h1_drive client;
    struct h1_drive server;
    struct text before = {0};
    struct text after = {0};
    h1_drive_init(&client, CODEC_CLIENT, &limits);
    h1_drive_init(&server, CODEC_SERVER, &limits);
    struct owner_stream *passed = codec_owner_new_stream(&client.owner);
    pass_on(client.owner.codec, passed, item);
    carry(&client, passed, &server);
    CHECK(server.owner.count == 1 && server.owner.last->ended && !server.owner.codec->close_when_flushed);
    describe_request(&before, item);
    describe_request(&after, server.owner.last);
    CHECK(bytes_equal(text_bytes(&before), text_bytes(&after)));
    text_dispose(&before);
    text_dispose(&after);
    h1_drive_dispose(&client);
    h1_drive_dispose(&server);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 3)
        return 0;
    bool end = (input[0] & 1) != 0;
    struct codec_limits limits = fuzz_limits((input[0] & 2) != 0);
    struct bytes in = bytes_from((const char *)input + 2, size - 2);
    struct h1_drive whole;
    struct h1_drive split;
    h1_drive_init(&whole, CODEC_SERVER, &limits);
    h1_drive_init(&split, CODEC_SERVER, &limits);
    whole.switches = split.switches = (input[0] & 16) != 0;
    split.split = input[1] == 0 ? SPLIT_BYTES : SPLIT_RANDOM;
    rng_init(&split.rng, input[1]);
    h1_feed(&whole, in);
    h1_feed(&split, in);
    if (end) {
        h1_feed_end(&whole);
        h1_feed_end(&split);
    }
    CHECK(whole.owner.error == OK);
    check_same(&whole, &split);
    for (const struct owner_stream *item = whole.owner.streams; item != NULL; item = item->next) {
        if (item->heads == 0)
            continue;
        check_request(item, &limits);
        if (item->ended && item->stream.head.authority.len > 0)
            check_round_trip(item);
    }
    h1_drive_dispose(&whole);
    h1_drive_dispose(&split);
    run_at_random(CODEC_SERVER, in, input[1]);
    return 0;
}
