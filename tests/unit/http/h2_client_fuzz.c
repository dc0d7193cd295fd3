// What any server may send to a client that has some requests open. Properties: what is told obeys the grammar and the limits, and no stream is lost or kept.
//
// The first byte of an input chooses limits, how many requests there are and whether the connection ends behind it, the second what is cut and what the owner
// does meanwhile; the rest is what the server sends.
#include "h2_fuzz.h"

static void open_requests(struct h2_drive *drive, unsigned count) {
    static const char *const methods[] = {"GET", "HEAD", "POST", "OPTIONS"};
    for (unsigned i = 0; i < count; i++) {
        bool end = i != 2;
        struct owner_stream *item = h2_request(&drive->owner, methods[i % 4], "/", end);
        if (!end)
            owner_stream_send(item, BYTES("a request's body"), false, NULL);
    }
    h2_drive_sent(drive);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 3)
        return 0;
    const uint8_t flags = input[0];
    struct bytes in = bytes_from((const char *)input + 2, size - 2);
    struct codec_limits limits = h2_fuzz_limits((flags & 2) != 0);
    struct h2_drive drive;
    struct rng rng;
    rng_init(&rng, input[1]);
    h2_drive_init(&drive, CODEC_CLIENT, &limits);
    if ((flags & 4) != 0)
        h2_drive_hello(&drive);
    open_requests(&drive, 1 + (flags >> 3) % 3);
    while (in.len > 0) {
        size_t length = 1 + rng_below(&rng, 1 + input[1]);
        length = length < in.len ? length : in.len;
        (void)codec_owner_feed(&drive.owner, bytes_from(in.at, length));
        in = bytes_from(in.at + length, in.len - length);
        h2_check_owner(&drive.owner);
        if ((flags & 32) != 0)
            h2_act(&drive.owner, &rng);
    }
    if ((flags & 1) != 0)
        (void)codec_owner_feed_end(&drive.owner);
    h2_check_owner(&drive.owner);
    CHECK((flags & 1) == 0 || drive.owner.codec->streams_open == 0 || drive.owner.error != OK);
    h2_drive_dispose(&drive);
    return 0;
}
