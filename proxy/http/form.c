// Walks over one name or value, octet by octet: see form.h.
#include "http/form.h"

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
