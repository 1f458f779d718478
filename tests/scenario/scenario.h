#ifndef SCENARIO_H
#define SCENARIO_H
/* Plays stories for the pure SMTP engines. A story is a file NAME.scn; its first line is
 * "# title". Every other line is an input, or what has to come of the inputs, in the
 *order in which it has to come. The trace of what really came must be the same for every
 *way the bytes can be cut into pieces.
 *
 * Both engines:
 *	conf NAME VALUE		a setting, before the first input
 *	whole			the story depends on which bytes come together: no cutting
 *	R text  R*N text	raw bytes from the peer, with C escapes; N times
 *	+ SECONDS		time passes
 *	lost			the peer is gone
 *	L text			a log line (W: a warning). A story without any does not
 *look at the log. close			the session ends
 *
 * Server:  C text	a line from the client	S text	a line to it
 *	ask NAME...		questions that the story answers itself; others are
 *answered OK = ok|temp|perm [reply]	answers the open question early text
 *bytes that were there before the greeting
 *	drain			the program wants to end
 *	? NAME text		a question of `ask`; "commit" and "abort" always show
 *	D text			a line of content, as stored
 *	heard text  chapter N	conf listener yes: for transcripts; N: the trouble so far
 *
 * Client:  S text	a line from the server	C text	a line to it
 *	job NAME=VALUE...	the message: sender= rcpt= (many) size= envid= ret=
 *				8bit dots long
 *	body text		its content, with C escapes (several: one after the other)
 *	deliver  quit		what the shell does; fail text: content cannot be read;
 *	refuse text		it cannot be converted
 *	O INDEX ok|temp|perm DSN text	an outcome	7bit	content as 7-bit, please
 *	done [next RC DSN text] [closing] */
#include "base/buf.h"

struct scenario {
	const char *path;
	struct str title, text;
	bool is_whole, has_log;
};

struct variant {
	size_t chunk; /* bytes that arrive at a time; 0: all at once */
	size_t cut;   /* the peer vanishes after so many bytes; SIZE_MAX: never */
	int commit;   /* 0: as told, else every commit is answered temp (3) or perm (4) */
};

/* Appends to `trace` what came; returns how many bytes the peer sent in all. */
size_t play_server(const struct scenario *s, const struct variant *v, struct buf *trace);
size_t play_client(const struct scenario *s, const struct variant *v, struct buf *trace);

/* Lines of a story. */
bool scenario_line(struct str *rest, struct str *out);
bool scenario_is(struct str line, const char *word, struct str *args);
void scenario_unescape(struct str in, struct buf *out);
void scenario_escape(struct str in, struct buf *out);
void scenario_say(struct buf *trace, const char *fmt, ...) PRINTF(2, 3);
/* What the peer sends: a line "WHO text" with its CRLF, "R text" as it stands, "R* N
 * text" that many times. False: the line says something else. */
bool scenario_peer(struct str line, const char *who, struct buf *out);
uint64_t scenario_number(struct str s);
/* Bytes in lines: whole lines go to the trace, each as "PREFIX text". */
void scenario_lines(struct buf *pending, const char *prefix, struct buf *trace);
/* What is left without a line end. */
void scenario_rest(struct buf *pending, const char *prefix, struct buf *trace);
_Noreturn void scenario_die(const char *fmt, ...) PRINTF(1, 2);
#endif
