// What the whole process is set to at its start: descriptors, signals that must not kill it, no core dumps with keys in them.
#ifndef APP_PROCESS_H
#define APP_PROCESS_H

void process_prepare(void);

#endif
