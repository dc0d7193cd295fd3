// Any text as a date. Properties: what is read is not after the end of year 9999; written in the fixed form it is read as the same second.
#include "base/check.h"
#include "http/date.h"

#include <stdio.h>
#include <time.h>

#define NOW UINT64_C(1767225600)

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    uint64_t seconds;
    if (!http_date_parse(bytes_from((const char *)input, size), NOW, &seconds))
        return 0;
    CHECK(seconds <= UINT64_C(253402300800)); // with a leap second at its end
    if (seconds == UINT64_C(253402300800))
        return 0;
    char text[64];
    struct tm parts;
    time_t then = (time_t)seconds;
    CHECK(gmtime_r(&then, &parts) != NULL);
    size_t length = strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    uint64_t again;
    CHECK(length > 0 && http_date_parse(bytes_from(text, length), NOW, &again));
    CHECK(again == seconds);
    return 0;
}
