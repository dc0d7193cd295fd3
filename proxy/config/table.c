// What can be asked of a table without a document.
#include "config/table.h"

#include "base/check.h"
#include "config/snapshot.h"

const struct row *table_find(const struct table *table, struct bytes name) {
    for (const struct row *row = table->rows; row->name != NULL; row++)
        if (bytes_equal(bytes_from_text(row->name), name))
            return row;
    return NULL;
}

bool table_has_later(const struct table *table, struct bytes name) {
    if (table->later == NULL)
        return false;
    struct bytes list = bytes_from_text(table->later), later;
    while (bytes_next(&list, ' ', &later))
        if (bytes_equal(later, name))
            return true;
    return false;
}

uint32_t row_item_size(const struct row *row) {
    CHECK(row->type == VALUE_LIST);
    switch (row->item) {
    case VALUE_TEXT:
    case VALUE_LABEL:
    case VALUE_HOST:
    case VALUE_PATH:
        return sizeof(struct bytes);
    case VALUE_ADDRESS:
        return sizeof(struct socket_address);
    case VALUE_ENUM:
        return sizeof(uint32_t);
    case VALUE_SPIFFE_ID:
        return sizeof(struct spiffe_id);
    case VALUE_CIDR:
        return sizeof(struct cidr);
    case VALUE_OBJECT:
        return row->object->size;
    default:
        check_failed("the items of a list are of a type that lists do not have", __FILE__, __LINE__);
    }
}

static uint64_t mix(uint64_t digest, const void *at, size_t size) {
    const unsigned char *byte = at;
    for (size_t i = 0; i < size; i++)
        digest = (digest ^ byte[i]) * UINT64_C(0x100000001b3);
    return digest;
}

uint64_t digest_number(uint64_t digest, uint64_t number) {
    return mix(digest, &number, sizeof(number));
}

uint64_t digest_bytes(uint64_t digest, struct bytes text) {
    return mix(digest_number(digest, text.len), text.at, text.len);
}

static uint64_t row_digest(const struct row *row, const void *object, uint64_t digest);

static uint64_t list_digest(const struct row *row, const void *object, uint64_t digest) {
    const char *items;
    uint32_t count;
    memcpy(&items, (const char *)object + row->offset, sizeof(items));
    memcpy(&count, (const char *)object + row->count_offset, sizeof(count));
    struct row item = *row; // as if it were a field at the start of itself
    item.type = row->item;
    item.offset = 0;
    item.width = row_item_size(row);
    digest = digest_number(digest, count);
    for (uint32_t i = 0; i < count; i++)
        digest = row_digest(&item, items + (size_t)i * item.width, digest);
    return digest;
}

static uint64_t row_digest(const struct row *row, const void *object, uint64_t digest) {
    const char *at = (const char *)object + row->offset;
    switch (row->type) {
    case VALUE_TEXT:
    case VALUE_LABEL:
    case VALUE_HOST:
    case VALUE_PATH:
    case VALUE_SPIFFE_ID: { // begins with its text
        struct bytes text;
        memcpy(&text, at, sizeof(text));
        return digest_bytes(digest, text);
    }
    case VALUE_ADDRESS: {
        if (row->width == sizeof(struct endpoint_place)) {
            struct endpoint_place place;
            memcpy(&place, at, sizeof(place));
            return digest_bytes(digest_bytes(digest, endpoint_address_bytes(&place.address)), place.name);
        }
        struct socket_address address;
        memcpy(&address, at, sizeof(address));
        return digest_bytes(digest, address.text);
    }
    case VALUE_FLAGS:
        for (const struct choice *choice = row->choices; choice->name != NULL; choice++)
            digest = mix(digest, (const char *)object + choice->value, choice->is_later ? 0 : sizeof(bool));
        return digest;
    case VALUE_OBJECT:
        return table_digest(row->object, object, digest);
    case VALUE_LIST:
        return list_digest(row, object, digest);
    case VALUE_TEXT_MAP:
        return digest;
    default:
        return mix(digest, at, row->width);
    }
}

uint64_t table_digest(const struct table *table, const void *object, uint64_t digest) {
    for (const struct row *row = table->rows; row->name != NULL; row++)
        digest = row_digest(row, object, digest);
    return digest;
}
