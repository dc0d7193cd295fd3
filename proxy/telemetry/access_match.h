// Which records somebody wants to see: all that is named must hold. Decides by what the access log shows of a request and nothing more, so that nobody learns from a choice what no
// line says. Of what was sent and is too long for a line, what is cut off is not compared. Names of services and routes, which are of the configuration, are compared whole.
#ifndef TELEMETRY_ACCESS_MATCH_H
#define TELEMETRY_ACCESS_MATCH_H

#include "telemetry/access_log.h"

// Texts are borrowed; an empty one, and 0, are not asked for.
struct access_match {
    struct bytes listener;
    struct bytes direction;
    struct bytes method;
    struct bytes host;     // without regard to case and to a dot at the end; without a port it is that of any
    struct bytes path;     // how it begins
    struct bytes service;  // "namespace/name:port"; the namespace may be left out, and the port
    struct bytes route;    // "HTTPRoute/namespace/name: rule"; the same for what stands before the name, and for the rule
    struct bytes identity; // of the caller
    uint16_t status_least, status_most;
    bool by_end;
    enum error end;
    nanoseconds slower; // it took at least so long
};

// A pure function of what of the record is borrowed from the stream: texts that are printed for it may be missing yet.
bool access_match_wants(const struct access_match *match, const struct access_record *record);

#endif
