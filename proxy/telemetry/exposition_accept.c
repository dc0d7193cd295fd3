// Which form of exposition a scraper gets: RFC 9110 section 12.5.1, as far as two media types need it.
#include "telemetry/metrics.h"

// A quality in thousandths: "0.5", "1", "1.000". What is none counts as 0, so that a range that nobody can read chooses nothing.
static unsigned quality_of(struct bytes text) {
    unsigned quality = 0, unit = 1000;
    for (size_t i = 0; i < text.len; i++) {
        if (i == 1 && text.at[i] == '.')
            continue;
        if (text.at[i] < '0' || text.at[i] > '9' || unit == 0)
            return 0;
        quality += (unsigned)(text.at[i] - '0') * unit;
        unit /= 10;
    }
    return quality <= 1000 ? quality : 0;
}

struct media_range {
    struct bytes type;
    struct bytes version; // empty: none
    unsigned quality;
};

static struct bytes value_of(struct bytes parameter, struct bytes name) {
    const size_t length = name.len;
    if (parameter.len <= length || parameter.at[length] != '=' || !bytes_equal_nocase(bytes_from(parameter.at, length), name))
        return BYTES_NONE;
    struct bytes value = bytes_from(parameter.at + length + 1, parameter.len - length - 1);
    const bool is_quoted = value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"';
    return is_quoted ? bytes_from(value.at + 1, value.len - 2) : value;
}

static struct media_range range_of(struct bytes text) {
    struct media_range range = {.quality = 1000};
    struct bytes part;
    if (bytes_next(&text, ';', &part))
        range.type = bytes_trim(part);
    while (bytes_next(&text, ';', &part)) {
        part = bytes_trim(part);
        if (value_of(part, BYTES("q")).len > 0)
            range.quality = quality_of(value_of(part, BYTES("q")));
        else if (value_of(part, BYTES("version")).len > 0)
            range.version = value_of(part, BYTES("version"));
    }
    return range;
}

// 0.0.1 is what it was called before it was finished; scrapers still ask for both.
static bool is_openmetrics(const struct media_range *range) {
    return bytes_equal_nocase(range->type, BYTES("application/openmetrics-text")) &&
           (range->version.len == 0 || bytes_equal(range->version, BYTES("1.0.0")) || bytes_equal(range->version, BYTES("0.0.1")));
}

enum exposition_format exposition_negotiate(struct bytes accept) {
    unsigned openmetrics = 0, text = 0;
    struct bytes element;
    while (bytes_next(&accept, ',', &element)) {
        const struct media_range range = range_of(element);
        if (is_openmetrics(&range) && range.quality > openmetrics)
            openmetrics = range.quality;
        else if (bytes_equal_nocase(range.type, BYTES("text/plain")) && range.quality > text)
            text = range.quality;
    }
    return openmetrics > 0 && openmetrics >= text ? EXPOSITION_OPENMETRICS : EXPOSITION_PROMETHEUS;
}

struct bytes exposition_content_type(enum exposition_format format) {
    return format == EXPOSITION_OPENMETRICS ? BYTES("application/openmetrics-text; version=1.0.0; charset=utf-8")
                                            : BYTES("text/plain; version=0.0.4; charset=utf-8");
}
