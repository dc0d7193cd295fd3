// Files of an identity as they are on disk: their content, and a mark that changes with it. Symbolic links are followed.
#ifndef IDENTITY_SECRET_FILE_H
#define IDENTITY_SECRET_FILE_H

#include "base/bytes.h"
#include "base/error.h"

#include <stdint.h>

// Certificates and keys take a few kilobytes; a bundle of many roots some hundred.
#define SECRET_FILE_BYTES_MAX (1024 * 1024)

// Device, inode, size and time of change of what `path` leads to; 0 where there is nothing to read.
uint64_t secret_file_mark(const char *path);

// ERROR_IO with a text in `reason` when it cannot be read or is too long. `content` is freed with secret_file_forget.
enum error secret_file_read(const char *path, struct bytes *content, char *reason, size_t reason_size) MUST_CHECK;

// Wipes and frees.
void secret_file_forget(struct bytes *content);

#endif
