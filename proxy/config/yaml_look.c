// The resolution rules of YAML 1.1's types bool, int, float and timestamp, as far as a word of a policy document can fall under them.
#include "config/yaml_look.h"

#include <stdbool.h>

static bool is_in(struct bytes text, struct bytes words) {
    struct bytes word;
    while (bytes_next(&words, ' ', &word))
        if (bytes_equal(word, text))
            return true;
    return false;
}

static bool only(struct bytes text, const char *characters) {
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '\0' || strchr(characters, text.at[i]) == NULL)
            return false;
    return text.len > 0;
}

static struct bytes skip(struct bytes text, size_t count) {
    return bytes_from(text.at + count, text.len - count);
}

// 1e3, 6.02e+23; 1.1 itself wants a point, many of its readers do not.
static bool has_exponent(struct bytes text) {
    size_t at = bytes_find(text, 'e') < text.len ? bytes_find(text, 'e') : bytes_find(text, 'E');
    if (at >= text.len)
        return false;
    struct bytes power = skip(text, at + 1);
    if (power.len > 1 && (power.at[0] == '+' || power.at[0] == '-'))
        power = skip(power, 1);
    return only(bytes_from(text.at, at), "0123456789_.") && only(power, "0123456789");
}

// 12, 1_000, 0x1f, 0b1, 017, 190:20:30 (base 60), 1.5, 6.02e23, .5
static bool is_number(struct bytes text) {
    if (text.len > 0 && (text.at[0] == '+' || text.at[0] == '-'))
        text = skip(text, 1);
    if (bytes_starts_with(text, BYTES("0x")))
        return only(skip(text, 2), "0123456789abcdefABCDEF_");
    if (bytes_starts_with(text, BYTES("0b")))
        return only(skip(text, 2), "01_");
    bool begins_so = text.len > 0 && ((text.at[0] >= '0' && text.at[0] <= '9') || (text.at[0] == '.' && text.len > 1));
    if (!begins_so)
        return false;
    size_t points = 0;
    for (size_t i = 0; i < text.len; i++)
        points += text.at[i] == '.';
    return points <= 1 && (only(text, "0123456789_.:") || has_exponent(text));
}

// 2026-11-28, and with a time behind it.
static bool is_date(struct bytes text) {
    static const char form[] = "dddd-dd-dd";
    if (text.len < sizeof(form) - 1 || (text.len > sizeof(form) - 1 && strchr("Tt \t", text.at[sizeof(form) - 1]) == NULL))
        return false;
    for (size_t i = 0; i < sizeof(form) - 1; i++)
        if (form[i] == 'd' ? text.at[i] < '0' || text.at[i] > '9' : text.at[i] != form[i])
            return false;
    return true;
}

const char *yaml_look(struct bytes plain) {
    // Most words of documents are told by their first letter.
    if (plain.len == 0 || strchr("yYnNtTfFoO+-.0123456789", plain.at[0]) == NULL)
        return NULL;
    if (plain.len <= 5 && is_in(plain, BYTES("y Y yes Yes YES n N no No NO true True TRUE false False FALSE on On ON off Off OFF")))
        return "a boolean";
    if (is_number(plain) || is_in(plain, BYTES(".inf .Inf .INF -.inf .nan .NaN .NAN")))
        return "a number";
    if (is_date(plain))
        return "a date";
    return NULL;
}
