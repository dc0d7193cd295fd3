// Which service a stream is for: by its listener, by where its connection was going, by the name that its client said.
#ifndef STREAM_STREAM_SERVICE_H
#define STREAM_STREAM_SERVICE_H

#include "stream/stream.h"

// NULL: none, and the listener passes on nothing that it does not know.
struct bound_destination *stream_service(const struct stream *stream);

// It is to go to where its connection was going, and that is a listener of our own: it would come back for ever.
bool stream_returns(const struct stream *stream);

#endif
