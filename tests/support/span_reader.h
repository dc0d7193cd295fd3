// The exporter's end of a stream's traces in tests: takes the records, decodes them by protobuf-c and says each span as one line of text.
#ifndef SUPPORT_SPAN_READER_H
#define SUPPORT_SPAN_READER_H

#include "stream/stream.h"
#include "telemetry/export_queue.h"

#define SPAN_LINE_MAX 4096
#define SPAN_LINES_MAX 16

struct span_reader {
    struct mailbox home;
    struct export_queue queue, records;
    struct task publish;
    struct stream_env *env;
    unsigned count;
    // "CLIENT GET trace=<hex> id=<hex> parent=<hex or -> flags=301 state=... begun=<ms> took=<ms> status=ERROR:message key=value ... [event+<ms since the span began>: key=value ...] {link <id>: key=value}"
    // and at the end of the line what was dropped, where it was. Values of a list stand in ().
    char lines[SPAN_LINES_MAX][SPAN_LINE_MAX];
    unsigned record_count;
    // "outrigger.refused INFO trace=<hex> id=<hex of the span> at=<ms> key=value ..."
    char record_lines[SPAN_LINES_MAX][SPAN_LINE_MAX];
};

// From now on spans of this env are recorded.
void span_reader_init(struct span_reader *reader, struct stream_env *env);
void span_reader_dispose(struct span_reader *reader);

// Reads what has come since. Returns how many spans there are now.
unsigned span_reader_read(struct span_reader *reader);

// The same of records of the log.
unsigned span_reader_read_records(struct span_reader *reader);

// Text behind `key` ("id=") in the line, up to the next space. Valid until the next call but three.
const char *span_part(const char *line, const char *key);

#endif
