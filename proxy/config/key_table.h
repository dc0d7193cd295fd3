// A table of keys: which tier holds for which key, as a file of lines, "KEY TIER", white space between them. Empty lines and those that begin with `#` say nothing.
#ifndef CONFIG_KEY_TABLE_H
#define CONFIG_KEY_TABLE_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct key_line {
    struct bytes key, tier;
};

// Takes the next line that says something off `text`, counting lines in `*number` from 1; false: there is none. Where a line is not of that form its tier is empty.
bool key_table_next(struct bytes *text, uint32_t *number, struct key_line *line);

#endif
