// Any text. Properties: a range has its own first and last address; the address before it and the one behind it are none of it; nothing is read beyond the text.
#include "base/check.h"
#include "base/cidr.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

// One more, or one less; false: there is none.
static bool step(struct ip *ip, int by) {
    for (unsigned i = IP_BYTES; i-- > 0;) {
        ip->at[i] = (unsigned char)(ip->at[i] + by);
        if (ip->at[i] != (by > 0 ? 0 : 0xff))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct cidr cidr;
    struct ip alone;
    const struct bytes text = bytes_from((const char *)input, size);
    if (!cidr_parse(text, &cidr)) {
        CHECK(!ip_parse(text, &alone)); // one address is a range
        return 0;
    }
    struct ip first = cidr.ip, last = cidr.ip;
    for (unsigned bit = cidr.bits; bit < 8 * IP_BYTES; bit++)
        last.at[bit / 8] = (unsigned char)(last.at[bit / 8] | 1U << (7 - bit % 8));
    CHECK(cidr.bits <= 8 * IP_BYTES && cidr_contains(&cidr, &first) && cidr_contains(&cidr, &last));
    CHECK(!step(&first, -1) || !cidr_contains(&cidr, &first));
    CHECK(!step(&last, 1) || !cidr_contains(&cidr, &last));
    return 0;
}
