// Reads lines of "address name alias ...", with comments behind '#'. A line that is none of that is passed over, as the system's own resolver does.
#include "net/dns_hosts.h"

#include "base/log.h"
#include "base/pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool address_read(struct bytes text, union address *address) {
    char literal[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof literal)
        return false;
    memcpy(literal, text.at, text.len);
    literal[text.len] = '\0';
    *address = (union address){.any.sa_family = AF_INET};
    if (inet_pton(AF_INET, literal, &address->v4.sin_addr) == 1)
        return true;
    *address = (union address){.any.sa_family = AF_INET6};
    return inet_pton(AF_INET6, literal, &address->v6.sin6_addr) == 1;
}

static bool next_word(struct bytes *line, struct bytes *word) {
    size_t begin = 0;
    while (begin < line->len && (line->at[begin] == ' ' || line->at[begin] == '\t' || line->at[begin] == '\r'))
        begin++;
    size_t end = begin;
    while (end < line->len && line->at[end] != ' ' && line->at[end] != '\t' && line->at[end] != '\r')
        end++;
    *word = bytes_from(line->at + begin, end - begin);
    *line = bytes_from(line->at + end, line->len - end);
    return word->len > 0;
}

static bool names(struct bytes line, struct bytes name) {
    struct bytes word;
    while (next_word(&line, &word))
        if (bytes_equal_nocase(word, name))
            return true;
    return false;
}

uint32_t dns_hosts_find_in(struct bytes text, struct bytes name, union address addresses[DNS_HOSTS_ADDRESSES_MAX]) {
    uint32_t count = 0;
    while (text.len > 0 && count < DNS_HOSTS_ADDRESSES_MAX) {
        size_t end = bytes_find(text, '\n');
        struct bytes line = bytes_from(text.at, end);
        struct bytes word;
        text = end < text.len ? bytes_from(text.at + end + 1, text.len - end - 1) : BYTES_NONE;
        line.len = bytes_find(line, '#');
        if (next_word(&line, &word) && names(line, name) && address_read(word, &addresses[count]))
            count++;
    }
    return count;
}

static void read_text(struct dns_hosts *hosts, const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno != ENOENT) {
        if (!hosts->is_unreadable)
            log_event(LOG_ERROR, "dns_file_unreadable", "path=\"%s\" reason=\"%s\" in_force=\"what it said before\"", path, strerror(errno));
        hosts->is_unreadable = true;
        return;
    }
    dns_hosts_dispose(hosts);
    if (file < 0)
        return;
    char *text = alloc_or_abort(DNS_HOSTS_BYTES_MAX);
    size_t length = 0;
    ssize_t got;
    while (length < DNS_HOSTS_BYTES_MAX && (got = read(file, text + length, DNS_HOSTS_BYTES_MAX - length)) > 0)
        length += (size_t)got;
    close(file);
    hosts->text = bytes_keep(bytes_from(text, length));
    free(text);
}

uint32_t dns_hosts_find(struct dns_hosts *hosts, const char *path, struct bytes name, union address addresses[DNS_HOSTS_ADDRESSES_MAX]) {
    read_text(hosts, path);
    return dns_hosts_find_in(hosts->text, name, addresses);
}

void dns_hosts_dispose(struct dns_hosts *hosts) {
    bytes_drop(&hosts->text);
    hosts->is_unreadable = false;
}
