// Finds the function of each parameter, and says what is wrong where there is none: see parameters.h.
#include "admin/parameters.h"

#include "base/check.h"
#include "rpc/query.h"

static struct bytes those_there_are(struct pool *pool, const struct parameter *table, size_t count) {
    struct bytes text = BYTES("parameters are");
    for (size_t i = 0; i < count; i++)
        text = pool_format(pool, "%.*s%s %.*s%s", BYTES_FORMAT(text), i > 0 ? "," : "", BYTES_FORMAT(table[i].name),
                           table[i].repeats ? " (any number)" : "");
    return text;
}

bool parameters_read(struct bytes query, const struct parameter *table, size_t count, struct reading *reading) {
    uint32_t seen = 0; // a bit for each
    struct bytes name, value;
    CHECK(count <= 32);
    while (reading->error.len == 0 && query_next(&query, reading->pool, &name, &value)) {
        size_t i = 0;
        while (i < count && !bytes_equal(table[i].name, name))
            i++;
        if (i == count)
            reading->error = those_there_are(reading->pool, table, count);
        else if ((seen & UINT32_C(1) << i) != 0 && !table[i].repeats)
            reading->error = pool_format(reading->pool, "%.*s: once", BYTES_FORMAT(name));
        else
            table[i].read(reading, value);
        if (i < count)
            seen |= UINT32_C(1) << i;
    }
    return reading->error.len == 0;
}
