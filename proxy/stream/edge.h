// What a gateway does to requests from outside the mesh before anything looks at them (policy: Trust).
#ifndef STREAM_EDGE_H
#define STREAM_EDGE_H

struct stream;

// Takes off the fields by which the mesh tells a tier, a priority, a tenant, debugging or a timeout, and says anew from whom the request came (x-forwarded-for, -host,
// -proto): what edge.trustHeaders lists stays, and x-forwarded-for is then added to. What a trusted proxy says (forwarded_for.h) stays so far as it can be believed: from the client on.
void edge_prepare(struct stream *stream);

#endif
