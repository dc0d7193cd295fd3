// Heads and trailers while they come in: where names and values lie, counted from the section's first span, and their limits. The usual head comes
// whole in one read, and is then copied once, with one memcpy; only one that does not is gathered in memory of its own.
#include "http/h1_private.h"

#include "base/check.h"
#include "base/pool.h"

#include <stdlib.h>

// Lines of a usual head, and then twice as many each time.
#define LINES_FIRST 24

// Where `at` lies in the section's raw text. The first span of a section begins it.
static uint32_t offset_of(struct h1_section *section, const char *at) {
    if (!section->began) {
        section->began = true;
        section->origin = at;
    }
    CHECK(at >= section->origin);
    return section->before + (uint32_t)(at - section->origin);
}

static bool refuse(struct h1_codec *h1, enum error error) {
    h1->failure = error;
    return false;
}

static enum error malformed(const struct h1_codec *h1) {
    return h1->codec.role == CODEC_SERVER ? ERROR_BAD_REQUEST : ERROR_RESPONSE_MALFORMED;
}

static enum error too_large(const struct h1_codec *h1) {
    return h1->codec.role == CODEC_SERVER ? ERROR_HEADERS_TOO_LARGE : ERROR_RESPONSE_MALFORMED;
}

bool h1_section_start(struct h1_codec *h1, const char *at, size_t length, uint32_t max) {
    struct h1_section *section = &h1->section;
    bool first = !section->began;
    uint32_t offset = offset_of(section, at);
    if (first)
        section->start.at = offset;
    else if (offset != section->end)
        return refuse(h1, malformed(h1));
    section->start.len += (uint32_t)length;
    section->end = offset + (uint32_t)length;
    if (section->start.len > max)
        return refuse(h1, h1->codec.role == CODEC_SERVER ? ERROR_URI_TOO_LONG : ERROR_RESPONSE_MALFORMED);
    return true;
}

// There is never room for more lines than the limit allows.
static bool lines_grow(struct h1_codec *h1) {
    struct h1_section *section = &h1->section;
    uint32_t limit = h1->codec.limits.headers;
    uint32_t capacity = section->capacity == 0 ? LINES_FIRST : 2 * section->capacity;
    if (section->count == limit)
        return refuse(h1, too_large(h1));
    if (capacity > limit)
        capacity = limit;
    struct h1_line *lines = pool_alloc(h1->stream->pool, capacity * sizeof(*lines));
    if (section->count > 0)
        memcpy(lines, section->lines, section->count * sizeof(*lines));
    section->lines = lines;
    section->capacity = capacity;
    return true;
}

// The section ends at `end` for now.
static bool extend(struct h1_codec *h1, uint32_t end, size_t more) {
    struct h1_section *section = &h1->section;
    section->bytes += (uint32_t)more;
    section->end = end;
    if (section->bytes > h1->codec.limits.header_bytes || end > h1->raw_max)
        return refuse(h1, too_large(h1));
    return true;
}

bool h1_section_name(struct h1_codec *h1, const char *at, size_t length) {
    struct h1_section *section = &h1->section;
    uint32_t offset = offset_of(section, at);
    uint32_t end = offset + (uint32_t)length;
    size_t more = length;
    // Between two names there is a colon and the end of a line at least: a name that begins where the last one ended is its rest.
    if (offset == section->name_end && section->count > 0) {
        section->lines[section->count - 1].name.len += (uint32_t)length;
    } else {
        if (section->count == section->capacity && !lines_grow(h1))
            return false;
        section->lines[section->count++] = (struct h1_line){.name = {offset, (uint32_t)length}};
        more += 32;
    }
    section->name_end = end;
    return extend(h1, end, more);
}

bool h1_section_value(struct h1_codec *h1, const char *at, size_t length) {
    struct h1_section *section = &h1->section;
    CHECK(section->count > 0);
    uint32_t offset = offset_of(section, at);
    struct h1_span *value = &section->lines[section->count - 1].value;
    // No value lies at 0, since its name is before it.
    if (value->at == 0)
        value->at = offset;
    else if (offset != section->end)
        return refuse(h1, malformed(h1)); // in two lines (obs-fold): the strict parser lets none through
    value->len += (uint32_t)length;
    return extend(h1, offset + (uint32_t)length, length);
}

bool h1_section_keep(struct h1_codec *h1, const char *end) {
    struct h1_section *section = &h1->section;
    CHECK(section->began && end >= section->origin);
    size_t more = (size_t)(end - section->origin);
    size_t length = section->before + more;
    // The end of the head is not counted where it comes in one piece; so not here either.
    if (length > h1->raw_max + strlen("\r\n\r\n"))
        return refuse(h1, too_large(h1));
    if (length > section->earlier_capacity) {
        size_t capacity = 2 * length < 1024 ? 1024 : 2 * length;
        char *grown = try_alloc(capacity);
        if (grown == NULL)
            return refuse(h1, ERROR_MEMORY_LIMIT);
        if (section->before > 0)
            memcpy(grown, section->earlier, section->before);
        free(section->earlier);
        section->earlier = grown;
        section->earlier_capacity = (uint32_t)capacity;
    }
    memcpy(section->earlier + section->before, section->origin, more);
    section->before = (uint32_t)length;
    section->origin = NULL;
    return true;
}

const char *h1_section_copy(const struct h1_section *section, struct pool *pool) {
    if (!section->began)
        return "";
    char *text = pool_alloc(pool, section->end + 1);
    uint32_t kept = section->before < section->end ? section->before : section->end;
    if (kept > 0)
        memcpy(text, section->earlier, kept);
    if (section->end > kept)
        memcpy(text + kept, section->origin, section->end - kept);
    return text;
}

void h1_section_reset(struct h1_section *section) {
    free(section->earlier);
    *section = (struct h1_section){0};
}
