// Reads the few lines of resolv.conf that say which names a name stands for.
#include "net/dns_search.h"

#include "net/dns_answer.h"

#include <fcntl.h>
#include <unistd.h>

#define NDOTS_MAX 15

static void take_domains(struct dns_search *search, struct bytes words) {
    struct bytes word;
    search->count = 0; // the last line counts
    while (search->count < DNS_SEARCH_DOMAINS_MAX && bytes_next(&words, ' ', &word)) {
        if (word.at[word.len - 1] == '.')
            word.len--;
        if (dns_name_is_plain(word))
            search->domains[search->count++] = word;
    }
}

static void take_options(struct dns_search *search, struct bytes words) {
    struct bytes word;
    uint64_t number;
    while (bytes_next(&words, ' ', &word))
        if (bytes_starts_with(word, BYTES("ndots:")) && bytes_to_u64(bytes_from(word.at + 6, word.len - 6), UINT32_MAX, &number))
            search->ndots = number < NDOTS_MAX ? (uint32_t)number : NDOTS_MAX;
}

void dns_search_parse(struct dns_search *search, struct bytes text) {
    search->count = 0;
    search->ndots = 1;
    size_t length = text.len < sizeof search->text ? text.len : sizeof search->text;
    for (size_t i = 0; i < length; i++)
        search->text[i] = text.at[i] == '\t' || text.at[i] == '\r' ? ' ' : text.at[i];
    struct bytes rest = bytes_from(search->text, length);
    struct bytes line;
    while (bytes_next(&rest, '\n', &line)) {
        size_t end = bytes_find(line, ' ');
        struct bytes word = bytes_from(line.at, end);
        struct bytes words = bytes_from(line.at + end, line.len - end);
        if (bytes_equal(word, BYTES("search")) || bytes_equal(word, BYTES("domain")))
            take_domains(search, words);
        else if (bytes_equal(word, BYTES("options")))
            take_options(search, words);
    }
}

bool dns_search_read(struct dns_search *search, const char *path) {
    char text[DNS_SEARCH_FILE_MAX];
    size_t length = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t got = 0;
    while (length < sizeof text && (got = read(file, text + length, sizeof text - length)) > 0)
        length += (size_t)got;
    close(file);
    if (got < 0)
        return false;
    dns_search_parse(search, bytes_from(text, length));
    return true;
}

uint32_t dns_search_names(const struct dns_search *search, struct bytes name, struct pool *pool, struct bytes names[DNS_SEARCH_DOMAINS_MAX + 1]) {
    uint32_t count = 0;
    uint32_t dots = 0;
    bool is_whole = name.len > 0 && name.at[name.len - 1] == '.';
    if (is_whole)
        name.len--;
    for (size_t i = 0; i < name.len; i++)
        dots += name.at[i] == '.';
    bool is_first = is_whole || dots >= search->ndots;
    if (is_first)
        names[count++] = pool_copy(pool, name);
    for (uint32_t i = 0; i < search->count && !is_whole; i++)
        if (name.len + 1 + search->domains[i].len <= DNS_NAME_MAX)
            names[count++] = pool_format(pool, "%.*s.%.*s", BYTES_FORMAT(name), BYTES_FORMAT(search->domains[i]));
    if (!is_first)
        names[count++] = pool_copy(pool, name);
    return count;
}
