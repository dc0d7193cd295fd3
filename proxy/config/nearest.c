// Edit distance with swaps of neighbours (optimal string alignment), blind to case. Names are short: longer ones are never near.
#include "config/nearest.h"

#define NAME_MAX_COMPARED 40

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static bool same(char a, char b) {
    return ascii_lower(a) == ascii_lower(b);
}

// Three rows of the usual matrix are enough.
static uint32_t distance_of(struct bytes a, struct bytes b) {
    uint32_t rows[3][NAME_MAX_COMPARED + 1];
    uint32_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (uint32_t j = 0; j <= b.len; j++)
        last[j] = j;
    for (uint32_t i = 1; i <= a.len; i++) {
        row[0] = i;
        for (uint32_t j = 1; j <= b.len; j++) {
            uint32_t change = last[j - 1] + (same(a.at[i - 1], b.at[j - 1]) ? 0 : 1);
            row[j] = least(change, least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same(a.at[i - 1], b.at[j - 2]) && same(a.at[i - 2], b.at[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        uint32_t *unused = before;
        before = last;
        last = row;
        row = unused;
    }
    return last[b.len];
}

void nearest_init(struct nearest *nearest, struct bytes wrong) {
    *nearest = (struct nearest){.wrong = wrong};
    // A third of the letters may be wrong, so that short names do not match anything.
    nearest->distance = (uint32_t)least((uint32_t)(wrong.len > NAME_MAX_COMPARED ? 0 : wrong.len), 12) / 3 + 1;
}

void nearest_try(struct nearest *nearest, const char *name) {
    struct bytes text = bytes_from_text(name);
    if (nearest->wrong.len > NAME_MAX_COMPARED || text.len > NAME_MAX_COMPARED)
        return;
    uint32_t distance = distance_of(nearest->wrong, text);
    if (distance >= nearest->distance + (nearest->name == NULL ? 1 : 0) || distance >= text.len)
        return;
    nearest->name = name;
    nearest->distance = distance;
}
