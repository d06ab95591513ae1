/* When a server counts as dead, and that nobody else does.

Law: a server that gives its sign of life in time is never declared dead: not when the database restarts, not when its
clock steps, not when the observer was away. One that gives none any more is declared dead, and stays so.

Time goes by in beats: a tick comes when every server that can has beaten and looked. Two servers watch each other.
Between a look and the death that follows from it the other may beat.

evidence by lock   in this session of mine I saw this key held, it is free now, and the last beat is overdue, by the
                   database's clock or by mine
evidence by lease  the lease has passed by the database's clock, and I have read the same beat number for a whole lease of
                   my own ticks, while my own beats arrived
*/

#ifndef LEASE
#define LEASE 4    /* ticks; it must be longer than GAP and one more */
#endif
#define OVERDUE 2  /* ticks after the last beat: one is as it should be */
#define GAP 2      /* ticks between two of my own beats; more, and I have not watched */
#define END 14     /* ticks */
#define NEVER 255
#define JUMP 9     /* ticks by which the database's clock steps: another server of it, with another clock, was promoted */

/* ---- the database ---- */

bool up = true, writable = true;
byte ahead;        /* its clock, of ours */
byte beat[2], last[2], key[2];
bool dead[2];

/* ---- the servers; a session is one connection, and its number is the key of its lock ---- */

byte session[2];
bool connected[2], crashed[2], stopped[2], cut[2];
bool beaten[2], looked[2];  /* in this tick */

/* ---- what each has seen of the other ---- */

byte held[2];      /* the key that it saw held */
byte same[2];      /* the beat number that it reads ... */
byte since[2];     /* ... since this tick */
byte arrived[2];   /* the tick of its own last beat */

/* ---- for the assertions only ---- */

byte tick, sessions;
bool failed;
byte silence[2];   /* ticks in a row without a beat of it though the database was there */
byte unnoticed[2]; /* ticks in a row in which only the other has beaten, and has not found it */
bool buried[2];

#define NOW (tick + ahead)
#define CAN_SPEAK(one) (!crashed[one] && !stopped[one] && up && !cut[one])
#define REACHES(one) (CAN_SPEAK(one) && !dead[one])
#define HOLDS_LOCK(one) (connected[one] && session[one] == key[one])

inline connect() {
    sessions++; session[me] = sessions; connected[me] = true;
#ifndef RESTART_IS_DEATH
    held[me] = 0;
#endif
    since[me] = NEVER
}

#ifdef NO_OWN_BEATS      /* who was away itself believes that it has watched */
#define WAS_AWAY false
#else
#define WAS_AWAY (tick - arrived[me] > GAP)
#endif

inline mind_gap() {
    if
    :: WAS_AWAY -> since[me] = NEVER
    :: else
    fi
}

#ifdef REVIVES
#define MAY_BEAT true
#else
#define MAY_BEAT (!dead[me])
#endif

inline give_sign() {
    if
    :: MAY_BEAT -> beat[me]++; last[me] = NOW; key[me] = session[me]; dead[me] = false; silence[me] = 0; mind_gap(); arrived[me] = tick
    :: else
    fi;
    beaten[me] = true
}

inline remember() {
    mind_gap();
    if
    :: HOLDS_LOCK(other) -> held[me] = key[other]
    :: !HOLDS_LOCK(other) && held[me] != key[other] -> held[me] = 0
    :: else
    fi;
    if
    :: since[me] == NEVER || same[me] != beat[other] -> same[me] = beat[other]; since[me] = tick
    :: else
    fi
}

#ifdef NOT_SEEN_HELD
#define LET_GO (!HOLDS_LOCK(other))
#else
#define LET_GO (!HOLDS_LOCK(other) && held[me] == key[other])
#endif
#define BY_LOCK (LET_GO && (NOW - last[other] >= OVERDUE || tick - since[me] >= OVERDUE))

#define EXPIRED (NOW - last[other] >= LEASE || NOW < last[other])  /* a beat that is still to come: the clock was set back */

#ifdef ROW_ALONE         /* what the row says of its lease is believed */
#define BY_LEASE EXPIRED
#else
#define BY_LEASE (EXPIRED && tick - since[me] >= LEASE)
#endif

inline declare() {
    if
#ifdef NO_BEAT_CHECK
    :: !dead[other] ->
#else
    :: !dead[other] && beat[other] == seen ->
#endif
        assert(beat[other] == seen);  /* nobody is declared dead who has beaten since */
        assert(silence[other] > 0);   /* nor anybody who has missed no beat */
        dead[other] = true; buried[other] = true
    :: else
    fi
}

proctype Server(byte me) {
    byte seen, other = 1 - me;
    bool judged;
end:
    do
    :: atomic { REACHES(me) && !connected[me] -> connect() }
    :: atomic { CAN_SPEAK(me) && connected[me] && writable && !beaten[me] -> give_sign() }
    :: atomic { REACHES(me) && connected[me] && !dead[other] -> remember(); looked[me] = true; seen = beat[other]; judged = BY_LOCK || BY_LEASE }
        atomic {
            if
            :: judged && REACHES(me) && writable -> declare()
            :: else
            fi;
            judged = false; seen = 0
        }
    od
}

#define IN_TIME(one) (!REACHES(one) || (connected[one] && (beaten[one] || !writable) && (looked[one] || dead[1 - one])))

/* At the end of a tick. */
inline account(one) {
    if
    :: up && writable && !beaten[one] -> silence[one]++
    :: else
    fi;
    if
    :: !beaten[one] && !dead[one] && beaten[1 - one] && !dead[1 - one] -> unnoticed[one]++
    :: else -> unnoticed[one] = 0
    fi;
    assert(unnoticed[one] <= LEASE + 3);   /* who gives no sign is noticed, in a lease from when I began to watch */
    assert(!buried[one] || dead[one])      /* death is for ever */
}

proctype Time() {
end:
    do
    :: atomic {
            tick < END && IN_TIME(0) && IN_TIME(1) ->
                account(0); account(1);
                beaten[0] = false; beaten[1] = false; looked[0] = false; looked[1] = false;
                tick++
        }
    od
}

/* One thing that goes wrong, and perhaps passes. The first server is the one that suffers: the two are alike.

Two at once may cost a server that lives its incarnation (the clock steps, and a connection breaks within the same beat): it
is fenced as one that stalls, and goes on as another. */
proctype Environment() {
end:
    do
    :: atomic { !failed -> failed = true; up = false; connected[0] = false; connected[1] = false }  /* the database restarts */
    :: atomic { !up -> up = true }
    :: atomic { !up -> ahead = JUMP - ahead }                                                       /* ... as another one, with another clock */
    :: atomic { !failed -> failed = true; writable = false }                                        /* it can be read only */
    :: atomic { !writable -> writable = true }
    :: atomic { !failed -> failed = true; connected[0] = false }                                    /* a connection breaks */
    :: atomic { !failed -> failed = true; connected[0] = false; cut[0] = true }                     /* ... and no other can be made for a while */
    :: atomic { cut[0] -> cut[0] = false }
    :: atomic { !failed -> failed = true; stopped[0] = true }
    :: atomic { stopped[0] -> stopped[0] = false }
    :: atomic { !failed -> failed = true; crashed[0] = true; connected[0] = false }
    :: atomic { !failed -> failed = true; ahead = JUMP - ahead }                                    /* the database's clock steps */
    od
}

init {
    byte me;
    atomic {
        if
        :: ahead = 0
        :: ahead = JUMP
        fi;
        for (me : 0 .. 1) { sessions++; session[me] = sessions; key[me] = sessions; connected[me] = true; last[me] = NOW; since[me] = NEVER }
        run Server(0); run Server(1); run Time(); run Environment()
    }
}
