// Moments in a line of text, as a format of strftime(3) says: UTC, in English, and %f, %1f to %9f for parts of a second.
#ifndef TELEMETRY_ACCESS_MOMENT_H
#define TELEMETRY_ACCESS_MOMENT_H

#include "telemetry/access_line.h"

// Of a moment in a line.
#define ACCESS_MOMENT_MAX 128

#define ACCESS_MOMENT_LETTERS "%Y %m %d %e %H %M %S %s %f %1f to %9f %F %T %D %j %y %a %b %A %B %I %p %Z %z"

// It is not empty, and each of its percent signs has one of those letters behind it, or another percent sign.
bool access_moment_is_format(struct bytes format);

// There is room for ACCESS_MOMENT_MAX bytes; what a format makes more than that is left out.
void access_moment_add(struct access_line *line, struct bytes format, nanoseconds wall);

#endif
