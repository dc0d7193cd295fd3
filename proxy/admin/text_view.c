// Nested at most a few levels deep: values are built by our own pages, so that recursion is bounded by them.
#include "admin/text_view.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define COLUMNS_MAX 24
#define INDENT 2

struct column {
    const char *name;
    size_t width;
    bool numbers; // aligned to the right
};

static void append_value(struct buffer *out, json_t *value, unsigned indent);

static void append_spaces(struct buffer *out, size_t count) {
    while (count-- > 0)
        buffer_append(out, BYTES(" "));
}

static bool is_single(json_t *value) {
    return !json_is_object(value) && !json_is_array(value);
}

static bool is_list_of_singles(json_t *value) {
    bool single = json_is_array(value);
    for (size_t i = 0; single && i < json_array_size(value); i++)
        single = is_single(json_array_get(value, i));
    return single;
}

static bool is_flat(json_t *object) {
    const char *key;
    json_t *value;
    bool flat = true;
    json_object_foreach(object, key, value) flat &= is_single(value) || is_list_of_singles(value);
    return flat;
}

// The text of a single value; `room` is used for numbers.
static struct bytes single_text(json_t *value, char *room, size_t size) {
    switch (json_typeof(value)) {
    case JSON_STRING:
        return bytes_from(json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return bytes_from(room, (size_t)snprintf(room, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value)));
    case JSON_REAL:
        return bytes_from(room, (size_t)snprintf(room, size, "%g", json_real_value(value)));
    case JSON_TRUE:
        return BYTES("yes");
    case JSON_FALSE:
        return BYTES("no");
    default:
        return BYTES("-");
    }
}

void text_append_clean(struct buffer *out, struct bytes text) {
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool c1 = c == 0xc2 && i + 1 < text.len && (unsigned char)text.at[i + 1] < 0xa0; // U+0080 to U+009F
        if (c >= 32 && c != 127 && !c1)
            continue;
        buffer_append(out, bytes_from(text.at + start, i - start));
        buffer_append(out, BYTES("?"));
        i += c1;
        start = i + 1;
    }
    buffer_append(out, bytes_from(text.at + start, text.len - start));
}

// Characters, not bytes.
static size_t width_of(struct bytes text) {
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.at[i] & 0xc0) != 0x80;
    return width;
}

static void append_name(struct buffer *out, const char *name) {
    for (const char *at = name; *at != '\0'; at++)
        buffer_append(out, *at == '_' ? BYTES(" ") : bytes_from(at, 1));
}

static void append_cell(struct buffer *out, const struct column *column, struct bytes text, bool last) {
    size_t width = width_of(text);
    size_t padding = column->width > width ? column->width - width : 0;
    if (column->numbers)
        append_spaces(out, padding);
    text_append_clean(out, text);
    if (!last)
        append_spaces(out, (column->numbers ? 0 : padding) + INDENT);
}

static size_t find_column(const struct column *columns, size_t count, const char *name) {
    size_t i = 0;
    while (i < count && strcmp(columns[i].name, name) != 0)
        i++;
    return i;
}

// The names of all rows, in the order in which they first appear. Returns how many; more than COLUMNS_MAX are not shown.
static size_t measure_columns(json_t *rows, struct column *columns) {
    size_t count = 0;
    for (size_t row = 0; row < json_array_size(rows); row++) {
        const char *key;
        json_t *value;
        json_object_foreach(json_array_get(rows, row), key, value) {
            char room[32];
            size_t i = find_column(columns, count, key);
            if (i == COLUMNS_MAX)
                continue;
            if (i == count)
                columns[count++] = (struct column){.name = key, .width = strlen(key), .numbers = true};
            size_t width = width_of(single_text(value, room, sizeof(room)));
            if (width > columns[i].width)
                columns[i].width = width;
            columns[i].numbers &= json_is_number(value) || json_is_null(value);
        }
    }
    return count;
}

// The values of a list behind each other, as one text.
static json_t *joined(json_t *list) {
    json_t *text = json_string("");
    for (size_t i = 0; i < json_array_size(list); i++) {
        char room[32];
        struct bytes value = single_text(json_array_get(list, i), room, sizeof(room));
        json_t *longer = json_sprintf("%s%s%.*s", json_string_value(text), i == 0 ? "" : ", ", BYTES_FORMAT(value));
        json_decref(text);
        text = longer;
    }
    return text;
}

// The rows with lists joined: those that have none are the same, with a reference more.
static json_t *without_lists(json_t *rows) {
    json_t *plain = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *key;
        json_t *value;
        json_t *row = json_array_get(rows, i);
        json_t *copy = json_incref(row);
        json_object_foreach(row, key, value) {
            if (!json_is_array(value))
                continue;
            if (copy == row) {
                json_decref(copy);
                copy = json_copy(row);
            }
            json_object_set_new(copy, key, joined(value));
        }
        json_array_append_new(plain, copy);
    }
    return plain;
}

static void append_rows(struct buffer *out, json_t *rows, unsigned indent) {
    struct column columns[COLUMNS_MAX];
    size_t count = measure_columns(rows, columns);
    append_spaces(out, indent);
    for (size_t i = 0; i < count; i++) {
        size_t padding = columns[i].width - strlen(columns[i].name);
        append_spaces(out, columns[i].numbers ? padding : 0);
        append_name(out, columns[i].name);
        if (i + 1 < count)
            append_spaces(out, (columns[i].numbers ? 0 : padding) + INDENT);
    }
    buffer_append(out, BYTES("\n"));
    for (size_t row = 0; row < json_array_size(rows); row++) {
        append_spaces(out, indent);
        for (size_t i = 0; i < count; i++) {
            char room[32];
            json_t *value = json_object_get(json_array_get(rows, row), columns[i].name);
            append_cell(out, &columns[i], value == NULL ? BYTES("-") : single_text(value, room, sizeof(room)), i + 1 == count);
        }
        buffer_append(out, BYTES("\n"));
    }
}

static void append_table(struct buffer *out, json_t *rows, unsigned indent) {
    json_t *plain = without_lists(rows);
    append_rows(out, plain, indent);
    json_decref(plain);
}

static void append_list(struct buffer *out, json_t *list, unsigned indent) {
    bool table = json_array_size(list) > 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        table &= json_is_object(json_array_get(list, i)) && is_flat(json_array_get(list, i));
    if (table) {
        append_table(out, list, indent);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        if (i > 0 && !is_single(item))
            buffer_append(out, BYTES("\n"));
        append_value(out, item, indent);
    }
}

static void append_object(struct buffer *out, json_t *object, unsigned indent) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        bool empty = !is_single(value) && json_array_size(value) == 0 && json_object_size(value) == 0;
        append_spaces(out, indent);
        append_name(out, key);
        buffer_append(out, empty ? BYTES(": none\n") : is_single(value) ? BYTES(": ") : BYTES(":\n"));
        if (!empty)
            append_value(out, value, is_single(value) ? 0 : indent + INDENT);
    }
}

static void append_value(struct buffer *out, json_t *value, unsigned indent) {
    char room[32];
    if (json_is_object(value)) {
        append_object(out, value, indent);
    } else if (json_is_array(value)) {
        append_list(out, value, indent);
    } else {
        append_spaces(out, indent);
        text_append_clean(out, single_text(value, room, sizeof(room)));
        buffer_append(out, BYTES("\n"));
    }
}

void text_view_append(struct buffer *out, json_t *value) {
    append_value(out, value, 0);
}
