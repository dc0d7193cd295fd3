// What any server may answer. Properties: the same comes of it however it is cut; what is told obeys the grammar and the limits; and a response that is sent on, as
// a proxy does, arrives at the next client as it was told. And whatever the owner does meanwhile, the contract of the codec holds.
//
// The first byte of an input chooses the method of the requests, whether they ask for WebSocket, limits and whether the connection ends behind it, the second the cutting;
// the rest is what the server sends.
#include "h1_fuzz.h"

static const enum http_method methods[] = {METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_OPTIONS};

static void check_response(const struct owner_stream *item, const struct codec_limits *limits, bool switches) {
    const struct head *head = &item->stream.head;
    check_fields(&head->fields, limits);
    check_fields(&item->stream.trailers, limits);
    CHECK(head->status >= 100 && head->status <= 599 && (head->status != 101 || switches));
    CHECK(head->version == HTTP_1_0 || head->version == HTTP_1_1);
    CHECK(is_field_value(head->reason));
    bool bodyless = item->stream.method == METHOD_HEAD || head->status == 204 || head->status == 304;
    CHECK(!bodyless || (item->body.len == 0 && item->stream.trailers.count == 0));
    CHECK(!item->ended || bodyless || head->content_length < 0 || (uint64_t)head->content_length == item->body.len);
}

static void describe_response(struct text *to, const struct owner_stream *item) {
    const struct head *head = &item->stream.head;
    struct bytes reason = head->reason.len > 0 ? head->reason : status_reason(head->status);
    text_format(to, "%u %.*s\n", head->status, BYTES_FORMAT(reason));
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
    client.method = item->stream.method;
    h1_request(&client);
    // The server end would answer by itself in h1_feed.
    (void)!codec_owner_feed(&server.owner, codec_owner_sent(&client.owner));
    struct owner_stream *passed = server.owner.last;
    pass_on(server.owner.codec, passed, item);
    carry(&server, passed, &client);
    CHECK(client.owner.last->ended && client.owner.error == OK);
    CHECK(!client.owner.codec->refuses_new);
    describe_response(&before, item);
    describe_response(&after, client.owner.last);
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
    h1_drive_init(&whole, CODEC_CLIENT, &limits);
    h1_drive_init(&split, CODEC_CLIENT, &limits);
    whole.switches = split.switches = (input[0] & 16) != 0;
    whole.method = split.method = whole.switches ? METHOD_GET : methods[(input[0] >> 2) & 3];
    split.split = input[1] == 0 ? SPLIT_BYTES : SPLIT_RANDOM;
    rng_init(&split.rng, input[1]);
    h1_request(&whole);
    h1_request(&split);
    h1_feed(&whole, in);
    h1_feed(&split, in);
    if (end) {
        h1_feed_end(&whole);
        h1_feed_end(&split);
    }
    check_same(&whole, &split);
    const struct owner_stream *item = whole.owner.last;
    if (item->heads > 0 && !item->has_failed) {
        check_response(item, &limits, whole.switches);
        if (item->ended && item->stream.head.status != 101)
            check_round_trip(item);
    }
    h1_drive_dispose(&whole);
    h1_drive_dispose(&split);
    run_at_random(CODEC_CLIENT, in, input[1]);
    return 0;
}
