// The files beside the documents of one load, each read once. See content.h.
#include "config/content.h"

#include "base/check.h"
#include "config/document.h"
#include "config/files.h"

#include <stdlib.h>
#include <sys/stat.h>

uint64_t content_mark(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0)
        return 0;
    const struct file_list one = {.files = &(struct found_file){path, status}, .count = 1};
    return file_list_fingerprint(&one);
}

static struct content *find(const struct loading *loading, struct bytes path) {
    struct content *content = loading->contents;
    while (content != NULL && !bytes_equal(content->path, path))
        content = content->next;
    return content;
}

const struct content *content_read(struct loading *loading, struct bytes path) {
    struct content *content = find(loading, path);
    if (content != NULL)
        return content;
    content = pool_alloc_zeroed(loading->scratch, sizeof *content);
    content->path = pool_copy(loading->scratch, path);
    content->mark = content_mark(content->path.at);
    char *text;
    size_t length;
    if (file_read(content->path.at, loading->errors, &text, &length) == OK) {
        content->text = bytes_from(text, length);
        pool_on_dispose(loading->scratch, free, text);
    }
    content->next = loading->contents;
    loading->contents = content;
    return content;
}

const struct content *content_find(const struct loading *loading, struct bytes path) {
    const struct content *content = find(loading, path);
    CHECK(content != NULL && content->text.at != NULL);
    return content;
}
