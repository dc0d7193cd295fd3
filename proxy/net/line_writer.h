// Writes lines of several threads into one file, on a thread of its own: whoever has a line never waits for a disk, a pipe or who reads it. A file that takes nothing
// loses lines, which are counted, once the bounded ring of their source is full.
//
// A file that was renamed (logrotate) is opened anew by its path, at the latest a second later, one that was removed at once, when there is something to write. Where a removed one cannot be opened anew, lines
// are lost, and counted as such. Into a pipe lines go
// whole, in portions of at most PIPE_BUF, so that those of several processes do not mix (pipe(7)).
//
// Owner:      who created it. Its sources are each one other thread's.
// Start:      line_writer_create starts the thread; it sleeps until there is something to do.
// Callbacks:  none.
// Cancel:     line_writer_destroy: writes what there is, for as long as it is given.
// Memory:     goes with line_writer_destroy.
#ifndef NET_LINE_WRITER_H
#define NET_LINE_WRITER_H

#include "base/clock.h"
#include "base/line_ring.h"
#include "base/metric_cell.h"

#include <stdint.h>

struct line_writer;

// Of one source; written by the writer's thread.
struct line_counters {
    struct metric_cell written; // lines
    struct metric_cell failed;  // lines that the file did not take: an error, no file, nobody who reads the pipe
};

// `failed`: the event of the process's log that tells that its file cannot be opened; a constant.
struct line_writer *line_writer_create(uint32_t source_count, size_t ring_bytes, size_t line_max, const char *failed);

// Any thread: lines go to `path` from now on (what waits too). Opening it, and an error that is logged, are the writer's thread's.
void line_writer_open(struct line_writer *writer, const char *path);

// Any thread: opens the same path anew.
void line_writer_reopen(struct line_writer *writer);

// The ring of one source, for the source's thread, which is to call line_writer_publish once it has added lines.
struct line_ring *line_writer_ring(struct line_writer *writer, uint32_t source);
void line_writer_publish(struct line_writer *writer, uint32_t source);

const struct line_counters *line_writer_counters(const struct line_writer *writer, uint32_t source);

// Once no source adds anything: writes what waits, until `patience` is over. A thread that hangs in the file system is left behind.
void line_writer_destroy(struct line_writer *writer, nanoseconds patience);

#endif
