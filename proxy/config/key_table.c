// Lines of a key table, one after the other, for whoever checks them and for whoever keeps them. See key_table.h.
#include "config/key_table.h"

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static struct bytes take_word(struct bytes *text) {
    size_t begin = 0, end;
    while (begin < text->len && is_space(text->at[begin]))
        begin++;
    for (end = begin; end < text->len && !is_space(text->at[end]);)
        end++;
    const struct bytes word = bytes_from(text->at + begin, end - begin);
    *text = bytes_from(text->at + end, text->len - end);
    return word;
}

bool key_table_next(struct bytes *text, uint32_t *number, struct key_line *line) {
    while (text->len > 0) {
        const size_t end = bytes_find(*text, '\n');
        struct bytes rest = bytes_from(text->at, end);
        *text = end == text->len ? BYTES_NONE : bytes_from(text->at + end + 1, text->len - end - 1);
        ++*number;
        line->key = take_word(&rest);
        line->tier = take_word(&rest);
        if (line->key.len == 0 || line->key.at[0] == '#')
            continue;
        if (take_word(&rest).len > 0)
            line->tier = BYTES_NONE;
        return true;
    }
    return false;
}
