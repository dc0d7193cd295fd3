// Walks an answer record by record. c-ares' own readers of SRV tell no TTL (as of 1.18), so only names, which may point back into the message, are expanded by it.
#include "net/dns_answer.h"

#include <ares.h>

#define HEADER_BYTES 12
#define RECORD_FIXED_BYTES 10 // type, class, TTL, length of what follows
#define SRV_FIXED_BYTES 6
#define CLASS_IN 1

struct walk {
    const unsigned char *message;
    size_t length;
    size_t at;
};

static uint16_t read_16(const unsigned char *at) {
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t read_32(const unsigned char *at) {
    return (uint32_t)read_16(at) << 16 | read_16(at + 2);
}

static bool has(const struct walk *walk, size_t bytes) {
    return walk->length - walk->at >= bytes;
}

// The name that begins at `at`; how many bytes of the message it takes there.
static enum error expand(const struct walk *walk, size_t at, struct pool *pool, struct bytes *name, size_t *taken) {
    char *text;
    long length;
    if (ares_expand_name(walk->message + at, walk->message, (int)walk->length, &text, &length) != ARES_SUCCESS)
        return ERROR_PROTOCOL;
    if (name != NULL)
        *name = pool_copy(pool, bytes_from_text(text));
    ares_free_string(text);
    *taken = (size_t)length;
    return OK;
}

static enum error skip_name(struct walk *walk) {
    size_t taken;
    if (!has(walk, 1) || expand(walk, walk->at, NULL, NULL, &taken) != OK || !has(walk, taken))
        return ERROR_PROTOCOL;
    walk->at += taken;
    return OK;
}

bool dns_name_is_plain(struct bytes name) {
    if (name.len == 0 || name.len > DNS_NAME_MAX)
        return false;
    size_t label = 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.at[i]);
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!is_letter && c != '.')
            return false;
        label = is_letter ? label + 1 : 0;
        if (label > 63 || (label == 0 && (i == 0 || i + 1 == name.len || name.at[i - 1] == '.')))
            return false;
    }
    return true;
}

// False: the target is no host name, and the record says nothing.
static enum error read_srv(const struct walk *walk, size_t length, struct pool *pool, struct dns_record *record, bool *usable) {
    size_t taken;
    if (length < SRV_FIXED_BYTES + 1)
        return ERROR_PROTOCOL;
    record->priority = read_16(walk->message + walk->at);
    record->weight = read_16(walk->message + walk->at + 2);
    record->port = read_16(walk->message + walk->at + 4);
    if (expand(walk, walk->at + SRV_FIXED_BYTES, pool, &record->target, &taken) != OK || taken != length - SRV_FIXED_BYTES)
        return ERROR_PROTOCOL;
    char *text = pool_alloc(pool, record->target.len + 1);
    for (size_t i = 0; i < record->target.len; i++)
        text[i] = ascii_lower(record->target.at[i]);
    record->target.at = text;
    *usable = record->target.len == 0 || (dns_name_is_plain(record->target) && record->port != 0);
    return OK;
}

// What stands behind the fixed part of a record; `usable`: it is one that was asked for.
static enum error read_data(const struct walk *walk, size_t length, enum dns_type type, struct pool *pool, struct dns_record *record, bool *usable) {
    record->type = type;
    *usable = true;
    switch (type) {
    case DNS_TYPE_A:
        if (length != sizeof record->v4)
            return ERROR_PROTOCOL;
        memcpy(&record->v4, walk->message + walk->at, sizeof record->v4);
        return OK;
    case DNS_TYPE_AAAA:
        if (length != sizeof record->v6)
            return ERROR_PROTOCOL;
        memcpy(&record->v6, walk->message + walk->at, sizeof record->v6);
        return OK;
    case DNS_TYPE_SRV:
        return read_srv(walk, length, pool, record, usable);
    default:
        *usable = false;
        return OK;
    }
}

// RFC 2181 section 8: a TTL with its highest bit set counts as 0.
static void note_ttl(struct dns_answer *answer, uint32_t ttl_s) {
    if (ttl_s > INT32_MAX)
        ttl_s = 0;
    if (ttl_s < answer->ttl_s)
        answer->ttl_s = ttl_s;
}

static enum error read_record(struct walk *walk, enum dns_type wanted, struct pool *pool, struct dns_answer *answer) {
    if (skip_name(walk) != OK || !has(walk, RECORD_FIXED_BYTES))
        return ERROR_PROTOCOL;
    const unsigned char *fixed = walk->message + walk->at;
    uint16_t type = read_16(fixed);
    uint16_t class = read_16(fixed + 2);
    uint32_t ttl_s = read_32(fixed + 4);
    size_t length = read_16(fixed + 8);
    walk->at += RECORD_FIXED_BYTES;
    if (!has(walk, length))
        return ERROR_PROTOCOL;
    if (class == CLASS_IN && type == DNS_TYPE_CNAME)
        note_ttl(answer, ttl_s);
    if (class == CLASS_IN && type == wanted && answer->count < DNS_RECORDS_MAX) {
        struct dns_record record = {0};
        bool usable;
        enum error error = read_data(walk, length, wanted, pool, &record, &usable);
        if (error != OK)
            return error;
        note_ttl(answer, ttl_s);
        if (usable)
            answer->records[answer->count++] = record;
    }
    walk->at += length;
    return OK;
}

enum error dns_answer_read(const unsigned char *message, size_t length, enum dns_type type, struct pool *pool, struct dns_answer *answer) {
    struct walk walk = {message, length, HEADER_BYTES};
    if (length < HEADER_BYTES || length > UINT16_MAX)
        return ERROR_PROTOCOL;
    uint32_t questions = read_16(message + 4);
    uint32_t records = read_16(message + 6);
    *answer = (struct dns_answer){.ttl_s = UINT32_MAX};
    answer->records = pool_alloc(pool, ((records < DNS_RECORDS_MAX ? records : DNS_RECORDS_MAX) + 1) * sizeof answer->records[0]);
    for (uint32_t i = 0; i < questions; i++) {
        if (skip_name(&walk) != OK || !has(&walk, 4))
            return ERROR_PROTOCOL;
        walk.at += 4;
    }
    for (uint32_t i = 0; i < records; i++)
        if (read_record(&walk, type, pool, answer) != OK)
            return ERROR_PROTOCOL;
    return OK;
}
