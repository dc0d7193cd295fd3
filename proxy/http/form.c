// Walks over a query, octet by octet: see form.h.
#include "http/form.h"

#include "base/map.h"

struct form_parameter {
    struct bytes name, value;
    bool is_used;
    bool is_repeated; // a later one has its name
};

struct bytes form_decode(struct bytes text, struct pool *pool) {
    if (bytes_find(text, '%') == text.len && bytes_find(text, '+') == text.len)
        return text;
    char *to = pool_alloc(pool, text.len);
    size_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        const int octet = text.at[i] == '%' ? bytes_octet_of_hex(bytes_from(text.at + i + 1, text.len - i - 1)) : -1;
        if (octet >= 0) {
            to[length++] = (char)octet;
            i += 2;
        } else {
            to[length++] = text.at[i] == '+' ? ' ' : text.at[i];
        }
    }
    return bytes_from(to, length);
}

static bool stands_for_itself(char octet) {
    return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') || (octet >= '0' && octet <= '9') || octet == '-' || octet == '.' ||
           octet == '_' || octet == '*';
}

char *form_encode(char *to, char *end, struct bytes text) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        const bool is_plain = stands_for_itself(text.at[i]) || text.at[i] == ' ';
        if (end - to < (is_plain ? 1 : 3))
            break;
        const unsigned char octet = (unsigned char)text.at[i];
        *to++ = !is_plain ? '%' : text.at[i] == ' ' ? '+' : text.at[i];
        if (is_plain)
            continue;
        *to++ = digits[octet >> 4];
        *to++ = digits[octet & 15];
    }
    return to;
}

// The slot of that name, or the free one where it belongs.
static struct form_parameter *slot_of(const struct form *form, struct bytes name) {
    uint32_t at = (uint32_t)hash_bytes(name) & form->mask;
    while (form->slots[at].is_used && !bytes_equal(form->slots[at].name, name))
        at = (at + 1) & form->mask;
    return &form->slots[at];
}

void form_parse(struct form *form, struct bytes query, struct pool *pool) {
    struct bytes rest = query, parameter;
    uint32_t count = 0;
    *form = (struct form){0};
    while (bytes_next(&rest, '&', &parameter))
        count++;
    if (count == 0)
        return;
    form->mask = 1;
    while (form->mask < 2 * count) // at most half of the slots are used
        form->mask = 2 * form->mask + 1;
    const size_t size = (form->mask + (size_t)1) * sizeof(*form->slots);
    form->slots = pool_alloc(pool, size);
    memset(form->slots, 0, size);
    rest = query;
    while (bytes_next(&rest, '&', &parameter)) {
        size_t equals = bytes_find(parameter, '=');
        size_t behind = equals < parameter.len ? equals + 1 : equals;
        struct bytes name = form_decode(bytes_from(parameter.at, equals), pool);
        struct form_parameter *slot = slot_of(form, name);
        if (!slot->is_used)
            *slot = (struct form_parameter){name, form_decode(bytes_from(parameter.at + behind, parameter.len - behind), pool), true, false};
        else
            slot->is_repeated = true;
    }
}

bool form_find(const struct form *form, struct bytes name, struct bytes *value) {
    const struct form_parameter *slot = form->slots != NULL ? slot_of(form, name) : NULL;
    if (slot == NULL || !slot->is_used)
        return false;
    *value = slot->value;
    return true;
}

bool form_is_repeated(const struct form *form, struct bytes name) {
    return form->slots != NULL && slot_of(form, name)->is_repeated;
}
