// Tells the service manager where the process stands: sd_notify(3), without its library. Nothing where NOTIFY_SOCKET is not set.
#ifndef APP_NOTIFY_H
#define APP_NOTIFY_H

// `state` as in sd_notify(3): "READY=1\nSTATUS=...". It is a hint: what cannot be sent is left.
void notify_state(const char *state);

#endif
