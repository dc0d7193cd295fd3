// The resolution rules of YAML 1.1's types bool, int and float, as far as a word of a policy document can fall under them.
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
    if (points == 0)
        return only(text, "0123456789_:") || only(text, "0123456789_eE+-");
    return points == 1 && only(text, "0123456789_.eE+-:");
}

const char *yaml_look(struct bytes plain) {
    // Most words of documents are told by their first letter.
    if (plain.len == 0 || strchr("yYnNtTfFoO+-.0123456789", plain.at[0]) == NULL)
        return NULL;
    if (plain.len <= 5 && is_in(plain, BYTES("y Y yes Yes YES n N no No NO true True TRUE false False FALSE on On ON off Off OFF")))
        return "a boolean";
    if (is_number(plain) || is_in(plain, BYTES(".inf .Inf .INF -.inf .nan .NaN .NAN")))
        return "a number";
    return NULL;
}
