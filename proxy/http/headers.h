// The ordered list of fields of a head or trailer section: add, find, remove, and which field a name means.
#ifndef HTTP_HEADERS_H
#define HTTP_HEADERS_H

#include "http/message.h"

// A Connection field that names more options than this is refused: a search for each costs too much.
#define CONNECTION_OPTIONS_MAX 64

void fields_init(struct fields *fields, struct pool *pool);

// Room for `more` fields to be added, so that the list does not grow in steps.
void fields_reserve(struct fields *fields, uint32_t more);

// A list of its own with what is not removed in `from`; the text is shared.
void fields_copy(struct fields *to, const struct fields *from, struct pool *pool);

// Which known field `name` is, whatever its case; FIELD_OTHER for the rest. A switch on length and a compare: no table at run time.
enum field_id field_id_of(struct bytes name);

// Appends. Name and value must live as long as the pool (they are not copied).
struct field *fields_add(struct fields *fields, struct bytes name, struct bytes value);

// The same where fields_reserve has made room and the id of the name is known.
static inline struct field *fields_add_reserved(struct fields *fields, struct bytes name, enum field_id id, struct bytes value) {
    struct field *field = &fields->items[fields->count++];
    *field = (struct field){.name = name, .value = value, .id = id};
    fields->bytes += (uint32_t)(name.len + value.len);
    fields->ids |= UINT64_C(1) << id;
    return field;
}

// What fields_add_as does where the list is full.
void fields_lengthen(struct fields *fields);

// The same for one whose id is known.
static inline struct field *fields_add_as(struct fields *fields, enum field_id id, struct bytes name, struct bytes value) {
    if (fields->count == fields->capacity)
        fields_lengthen(fields);
    return fields_add_reserved(fields, name, id, value);
}

// Appends a known field with its standard spelling.
struct field *fields_add_known(struct fields *fields, enum field_id id, struct bytes value);

// The standard spelling of a known field: "X-Request-Id". Empty for FIELD_OTHER.
struct bytes field_name(enum field_id id);

// Whether a field of this name may be read as the one that is wanted: in any case, and with `_` for `-`, since what reads CGI's variables takes the one for the other.
bool field_name_reads_as(struct bytes name, struct bytes wanted);

// What fields_find does where there may be one.
struct field *fields_search(const struct fields *fields, enum field_id id);

// The first with that id, NULL when there is none.
static inline struct field *fields_find(const struct fields *fields, enum field_id id) {
    return (fields->ids >> id & 1) == 0 ? NULL : fields_search(fields, id);
}

// The next with the id of `after`, behind it; NULL when there is none.
struct field *fields_find_next(const struct fields *fields, const struct field *after);

// By name, for fields without an id.
struct field *fields_find_name(const struct fields *fields, struct bytes name);

// The value of the only field of that name, in any case; empty: there is none, or there are several, of which nobody can say which counts.
struct bytes fields_only_value(const struct fields *fields, struct bytes name);

// Removes this one, which is in the list and not removed.
void fields_remove_field(struct fields *fields, struct field *field);

// Removes all with that id; returns how many there were.
uint32_t fields_remove(struct fields *fields, enum field_id id);
uint32_t fields_remove_name(struct fields *fields, struct bytes name);

// Replaces the value of the first and removes the others, or adds.
void fields_set_known(struct fields *fields, enum field_id id, struct bytes value);

// Takes out what belongs to one connection (RFC 9110 section 7.6.1): the fields that Connection names, Connection itself, Keep-Alive,
// Proxy-Connection, TE, Transfer-Encoding, Upgrade. Fields that identity and policy rest upon (Host, Authorization, Content-Length, Cookie, x-forwarded-*,
// x-request-id, traceparent, tracestate, outrigger-*, forwarded) stay even when Connection names them. False when Connection named more than CONNECTION_OPTIONS_MAX:
// the message must not be passed on.
bool fields_remove_hop_by_hop(struct fields *fields);

// Whether a trailer section may have it (RFC 9110 section 6.5.1): not what frames, routes or authorizes a message, or belongs to one connection.
bool field_may_trail(enum field_id id);

// RFC 9110 section 5.6.2: a token, not empty.
bool is_token(struct bytes text);

// RFC 9110 section 5.5: no control characters but tab, no space or tab at the ends. May be empty.
bool is_field_value(struct bytes text);

// Behind the last field.
static inline struct field *fields_end(const struct fields *fields) {
    return fields->count > 0 ? fields->items + fields->count : fields->items;
}

// Iterates over fields that are not removed, without those that are added meanwhile.
#define FIELDS_EACH(list, item)                                                                          \
    for (struct field *item = (list)->items, *item##_end = fields_end(list); item != item##_end; item++) \
        if (!item->removed)

#endif
