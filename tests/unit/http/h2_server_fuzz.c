// What any client may send. Properties: what is told obeys the grammar and the limits, however the input is cut; no stream is lost or kept; and
// what waits for a peer that does not read stays bounded.
//
// The first byte of an input chooses limits, whether SETTINGS were exchanged before and whether the connection ends behind it, the second what is cut and
// what the owner does meanwhile; the rest is what the client sends.
#include "h2_fuzz.h"

static void run(struct h2_drive *drive, uint8_t flags, struct bytes in, size_t max, struct rng *rng, bool acts) {
    struct codec_limits limits = h2_fuzz_limits((flags & 2) != 0);
    h2_drive_init(drive, CODEC_SERVER, &limits);
    if ((flags & 4) != 0)
        h2_drive_hello(drive);
    while (in.len > 0) {
        size_t length = max == 0 ? in.len : 1 + rng_below(rng, (uint32_t)max);
        length = length < in.len ? length : in.len;
        (void)codec_owner_feed(&drive->owner, bytes_from(in.at, length));
        in = bytes_from(in.at + length, in.len - length);
        h2_check_owner(&drive->owner);
        if (acts)
            h2_act(&drive->owner, rng);
    }
    if ((flags & 1) != 0)
        (void)codec_owner_feed_end(&drive->owner);
    h2_check_owner(&drive->owner);
    CHECK(drive->owner.out.length <= LIMIT_OUTPUT_BYTES + H2_CONTROL_BYTES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 3)
        return 0;
    struct bytes in = bytes_from((const char *)input + 2, size - 2);
    struct h2_drive whole;
    struct h2_drive split;
    struct h2_drive acting;
    struct rng rng;
    rng_init(&rng, input[1]);
    run(&whole, input[0], in, 0, NULL, false);
    run(&split, input[0], in, 1 + input[1] % 64, &rng, false);
    run(&acting, input[0], in, 1 + input[1] % 64, &rng, true);
    // Where nothing was lost the cutting makes no difference. (A reset that comes a read later may leave room for one stream less.)
    bool same = whole.owner.error == OK && split.owner.error == OK;
    if (same && strstr(h2_drive_sent(&whole), "RST_STREAM") == NULL && strstr(h2_drive_sent(&split), "RST_STREAM") == NULL) {
        h2_drive_received(&whole);
        h2_drive_received(&split);
        CHECK(bytes_equal(text_bytes(&whole.received), text_bytes(&split.received)));
        CHECK(whole.owner.codec->close_when_flushed == split.owner.codec->close_when_flushed);
    }
    h2_drive_dispose(&whole);
    h2_drive_dispose(&split);
    h2_drive_dispose(&acting);
    return 0;
}
