// The types of values that are one text: how each is read and what is said when it cannot be.
#include "config/scalar.h"

#include "base/check.h"
#include "base/cidr.h"
#include "config/authority.h"
#include "config/value.h"

#include <inttypes.h>
#include <stdio.h>

char *target_value(const struct target *target) {
    return (char *)target->object + target->row->offset;
}

// A list where a text should stand, or the like.
void target_wrong_kind(const struct target *target, const char *form) {
    target->node->bad = true;
    document_error(target->document, target->node, NULL, "is %s; allowed: %s", node_kind_name(target->node), form);
}

// A text that is not of its form.
static void wrong(const struct target *target, const char *form) {
    CHECK(target->node != NULL && target->node->kind == NODE_SCALAR);
    target->node->bad = true;
    document_error(target->document, target->node, NULL, "\"%.*s\" is not allowed; allowed: %s",
                   (int)(target->node->text.len > 80 ? 80 : target->node->text.len), target->node->text.at, form);
}

static struct bytes keep(const struct target *target, struct bytes text) {
    return target->document == NULL ? text : pool_copy(target->document->loading->values, text);
}

static void store_text(const struct target *target, struct bytes text) {
    text = keep(target, text);
    memcpy(target_value(target), &text, sizeof(text));
}

static bool is_clean(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
            return false;
    return true;
}

static void decode_text(const struct target *target, struct bytes text) {
    switch (target->row->type) {
    case VALUE_LABEL:
        if (!is_label(text)) {
            wrong(target, "a name of at most 63 lower-case letters, digits and '-', which begins and ends with no '-'");
            return;
        }
        break;
    case VALUE_HOST:
        if (!authority_is_host_pattern(text)) {
            wrong(target, "a host name or IP address, with or without port, or *.example.com");
            return;
        }
        break;
    default:
        if (target->row->is_line && bytes_ends_with(text, BYTES("\n")))
            text.len--;
        if (!is_clean(text)) {
            wrong(target, "a text with no control characters");
            return;
        }
        break;
    }
    store_text(target, text);
}

// A relative path counts from the folder of the document's file.
static void decode_path(const struct target *target, struct bytes text) {
    if (!is_clean(text) || text.len == 0) {
        wrong(target, "the path of a file");
        return;
    }
    if (target->document == NULL) { // a default
        store_text(target, text);
        return;
    }
    struct loading *loading = target->document->loading;
    const char *slash = strrchr(target->document->file, '/');
    struct bytes path = text;
    if (text.at[0] != '/' && slash != NULL) {
        path = pool_format(loading->values, "%.*s/%.*s", (int)(slash - target->document->file), target->document->file, BYTES_FORMAT(text));
        memcpy(target_value(target), &path, sizeof(path));
    } else {
        store_text(target, text);
    }
    struct named_path *named = pool_alloc(loading->values, sizeof(*named));
    named->path = pool_copy(loading->values, path);
    named->next = loading->paths;
    loading->paths = named;
}

static void decode_bool(const struct target *target, struct bytes text) {
    bool value = bytes_equal(text, BYTES("true"));
    if (!value && !bytes_equal(text, BYTES("false")))
        wrong(target, "true or false");
    else
        memcpy(target_value(target), &value, sizeof(value));
}

static void store_number(const struct target *target, uint64_t number) {
    uint16_t small = (uint16_t)number;
    uint32_t middle = (uint32_t)number;
    switch (target->row->width) {
    case sizeof(small):
        memcpy(target_value(target), &small, sizeof(small));
        return;
    case sizeof(middle):
        memcpy(target_value(target), &middle, sizeof(middle));
        return;
    default:
        CHECK(target->row->width == sizeof(number));
        memcpy(target_value(target), &number, sizeof(number));
        return;
    }
}

static void integer_format(uint64_t number, char text[FORMAT_MAX]) {
    snprintf(text, FORMAT_MAX, "%" PRIu64, number);
}

// The three types that are numbers with bounds.
static void decode_number(const struct target *target, struct bytes text, bool (*parse)(struct bytes, uint64_t *),
                          void (*print)(uint64_t, char[FORMAT_MAX]), const char *form) {
    const struct row *row = target->row;
    uint64_t number = 0;
    bool is_number = parse(text, &number);
    if (is_number && number >= row->min && number <= row->max) {
        store_number(target, number);
        return;
    }
    char low[FORMAT_MAX], high[FORMAT_MAX], allowed[3 * FORMAT_MAX + 80];
    print(row->min, low);
    print(row->max, high);
    snprintf(allowed, sizeof(allowed), "%s%s%s to %s", is_number ? "" : form, is_number ? "" : ", ", low, high);
    wrong(target, allowed);
}

// "Strict, Permissive or Disable"
const char *choice_words(struct document *document, const struct choice *choices) {
    struct bytes words = BYTES("");
    for (const struct choice *choice = choices; choice->name != NULL; choice++)
        if (!choice->is_later)
            words = pool_format(document->loading->scratch, "%.*s%s%s", BYTES_FORMAT(words), words.len > 0 ? ", " : "", choice->name);
    return words.at;
}

const struct choice *choice_find(const struct choice *choices, struct bytes text) {
    for (const struct choice *choice = choices; choice->name != NULL; choice++)
        if (bytes_equal(bytes_from_text(choice->name), text))
            return choice;
    return NULL;
}

// NULL with an error where `text` is no word that may stand here.
const struct choice *choice_decode(const struct target *target, struct bytes text) {
    const struct choice *choice = choice_find(target->row->choices, text);
    if (choice != NULL && !choice->is_later)
        return choice;
    const char *words = choice_words(target->document, target->row->choices);
    if (choice == NULL) {
        wrong(target, words);
        return NULL;
    }
    target->node->bad = true;
    document_error(target->document, target->node, NULL, "%s is not supported by this version; allowed: %s", choice->name, words);
    return NULL;
}

static void decode_enum(const struct target *target, struct bytes text) {
    const struct choice *choice = choice_decode(target, text);
    if (choice != NULL)
        memcpy(target_value(target), &choice->value, sizeof(choice->value));
}

static const char *address_form(unsigned forms) {
    if ((forms & ADDRESS_UNIX) != 0)
        return "an IP address with a port, as 127.0.0.1:8000 or [::1]:8000, or unix:/path";
    if ((forms & ADDRESS_NAME) != 0)
        return "an IP address or a host name, with or without a port, as 10.0.0.5:8000, [::1] or courses.example:80";
    if ((forms & ADDRESS_PORT_OPTIONAL) != 0)
        return "an IP address with or without a port, as 10.0.0.5:8000 or [::1]";
    return "an IP address with a port, as 127.0.0.1:8000 or [::1]:8000";
}

static void decode_address(const struct target *target, struct bytes text) {
    struct socket_address address;
    if (!address_parse(text, target->row->forms, &address)) {
        wrong(target, address_form(target->row->forms));
        return;
    }
    if (target->row->width == sizeof(struct endpoint_place)) {
        struct endpoint_place place;
        CHECK(endpoint_place_parse(text, &place));
        place.name = keep(target, place.name);
        memcpy(target_value(target), &place, sizeof(place));
        return;
    }
    CHECK(target->row->width == sizeof(address));
    address.text = keep(target, text);
    memcpy(target_value(target), &address, sizeof(address));
}

static void decode_spiffe_id(const struct target *target, struct bytes text) {
    struct spiffe_id id = {0};
    const char *reason = NULL;
    if (text.len == 0 && !target->row->is_required)
        return; // as if it were not there
    text = keep(target, text);
    if (spiffe_id_parse(text, &id, &reason) != OK) {
        target->node->bad = true;
        document_error(target->document, target->node, NULL, "is not a SPIFFE ID: %s; allowed: spiffe://trust-domain/path", reason);
    } else if (id.path.len == 0)
        wrong(target, "the SPIFFE ID of a workload, as spiffe://trust-domain/path; this one names a trust domain alone");
    else
        memcpy(target_value(target), &id, sizeof(id));
}

static void decode_cidr(const struct target *target, struct bytes text) {
    struct cidr cidr;
    if (cidr_parse(text, &cidr))
        memcpy(target_value(target), &cidr, sizeof(cidr));
    else
        wrong(target, "an IP address, or a range of them with no bit behind its prefix, as 10.0.0.0/8 or fd00::/8");
}

const char *value_form(enum value_type type) {
    switch (type) {
    case VALUE_BOOL:
        return "true or false";
    case VALUE_INTEGER:
        return "a whole number";
    case VALUE_DURATION:
        return "a duration, as 250ms or 1h30m";
    case VALUE_QUANTITY:
        return "a size, as 64Ki or 16Mi";
    case VALUE_OBJECT:
    case VALUE_TEXT_MAP:
        return "an object";
    case VALUE_LIST:
    case VALUE_FLAGS:
    case VALUE_NUMBERS:
        return "a list";
    default:
        return "a text";
    }
}

void scalar_decode(const struct target *target, struct bytes text) {
    enum value_type type = target->row->type;
    switch (type) {
    case VALUE_TEXT:
    case VALUE_LABEL:
    case VALUE_HOST:
        decode_text(target, text);
        return;
    case VALUE_PATH:
        decode_path(target, text);
        return;
    case VALUE_BOOL:
        decode_bool(target, text);
        return;
    case VALUE_INTEGER:
        decode_number(target, text, integer_parse, integer_format, value_form(type));
        return;
    case VALUE_DURATION:
        decode_number(target, text, duration_parse, duration_format, value_form(type));
        return;
    case VALUE_QUANTITY:
        decode_number(target, text, quantity_parse, quantity_format, value_form(type));
        return;
    case VALUE_ENUM:
        decode_enum(target, text);
        return;
    case VALUE_ADDRESS:
        decode_address(target, text);
        return;
    case VALUE_SPIFFE_ID:
        decode_spiffe_id(target, text);
        return;
    case VALUE_CIDR:
        decode_cidr(target, text);
        return;
    default:
        check_failed("a scalar of a type that is none", __FILE__, __LINE__);
    }
}
