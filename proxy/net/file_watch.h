// Watches files and folders: says when to look at them again. By inotify (through libuv), and every few seconds for what that does not tell: changes on the far side of a
// network file system, more folders than the system lets us watch. Used for documents and for certificates; what has changed, if anything, its owner finds out himself.
//
// Owner:      whoever made it, on the loop's thread.
// Start:      file_watch_create.
// Callbacks:  `look`, at most once in a turn and never from within a call: something may have changed, or `poll_interval` is over.
// Cancel:     file_watch_close: none follows.
// Memory:     frees itself on the loop's closing list.
#ifndef NET_FILE_WATCH_H
#define NET_FILE_WATCH_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct file_watch;

// Watched by inotify; those behind are only looked at every poll_interval. The system's own bound is 8,192 and more for a user.
#define FILE_WATCH_PATHS_MAX 512

struct file_watch_options {
    nanoseconds poll_interval;
    void (*look)(void *owner);
    // Whether it matters that a file of that name was written to, in a watched folder. NULL: always. So that a log beside documents wakes nobody. What comes, goes or is renamed
    // always matters.
    bool (*matters)(void *owner, const char *name);
    void *owner;
};

struct file_watch *file_watch_create(struct loop *loop, const struct file_watch_options *options);

// What is watched from now on, files and folders (of those their entries, not what is below); symbolic links are followed. One that is not there, or is replaced by another, is watched again
// when that shows.
// True: some of them are new, and what has changed in those just before is not told.
bool file_watch_set(struct file_watch *watch, const char *const *paths, uint32_t count);

// The same for the folders that those files lie in: they tell of what is renamed over a file, and of a mounted secret they are where the symbolic link is swapped.
bool file_watch_set_files(struct file_watch *watch, const char *const *files, uint32_t count);

void file_watch_close(struct file_watch *watch);

#endif
