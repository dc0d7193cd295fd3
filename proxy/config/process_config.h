// Parts of a Proxy that concern the process as a whole: its log, its hardening, the files that it may need. Part of snapshot.h.
#ifndef CONFIG_PROCESS_CONFIG_H
#define CONFIG_PROCESS_CONFIG_H

#include "base/bytes.h"
#include "config/request_key.h"

enum log_filter { LOG_FILTER_ERRORS, LOG_FILTER_ALL, LOG_FILTER_NONE };
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

// What one line has room for.
#define LOGGED_KEYS_MAX 4
#define LOGGED_HEADERS_MAX 4

struct access_log_config {
    struct bytes path;
    enum log_format format;
    struct bytes template; // of LOG_FORMAT_TEXT: one that telemetry/access_log takes
    enum log_filter filter;
    struct request_key keys; // by which requests are told apart, as hashes
    struct bytes *headers;   // that are logged as they are
    uint32_t header_count;
};

// What the process takes from itself once it has started, where the kernel has it.
enum hardening { HARDENING_ENFORCE, HARDENING_DISABLE };

// A file that a document names: it may be read, and its folder looked at, for as long as the process lives.
struct named_path {
    struct named_path *next;
    struct bytes path; // NUL behind it
};

#endif
