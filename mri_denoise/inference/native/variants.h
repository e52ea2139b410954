/* The filter for one instruction set: for blocks and groups of any size, and faster for the usual sizes.
 *
 * Include it with SET, the name of the instruction set, and what filter.c lists; ALL_SIZES asks for the faster ones.
 * Defines run_SET and undefines the macros.
 */

#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)

#define UNROLL
#define MEMBERS job->members
#define KERNEL PASTE(any_size, SET)
#define EDGE0 job->edges[0]
#define EDGE1 job->edges[1]
#define EDGE2 job->edges[2]
#include "kernel.h"
#undef UNROLL
#undef MEMBERS

#ifdef ALL_SIZES
#define UNROLL _Pragma("GCC unroll 32")

#define MEMBERS 16
#define KERNEL PASTE(cubes_16, SET)
#define EDGE0 5
#define EDGE1 5
#define EDGE2 5
#include "kernel.h"

#define KERNEL PASTE(plates_16, SET)
#define EDGE0 2
#define EDGE1 5
#define EDGE2 5
#include "kernel.h"

#define KERNEL PASTE(squares_16, SET)
#define EDGE0 1
#define EDGE1 8
#define EDGE2 8
#include "kernel.h"
#undef MEMBERS

#define MEMBERS 32
#define KERNEL PASTE(cubes_32, SET)
#define EDGE0 5
#define EDGE1 5
#define EDGE2 5
#include "kernel.h"

#define KERNEL PASTE(plates_32, SET)
#define EDGE0 2
#define EDGE1 5
#define EDGE2 5
#include "kernel.h"

#define KERNEL PASTE(squares_32, SET)
#define EDGE0 1
#define EDGE1 8
#define EDGE2 8
#include "kernel.h"
#undef MEMBERS
#undef UNROLL
#endif

static void PASTE(run, SET)(const filter_job *job, const grid_box *box, workspace *space) {
#ifdef ALL_SIZES
    const int *e = job->edges, many = job->members == 32;
    const int cubes = e[0] == 5 && e[1] == 5 && e[2] == 5, plates = e[0] == 2 && e[1] == 5 && e[2] == 5;
    const int squares = e[0] == 1 && e[1] == 8 && e[2] == 8;
    if (job->members == 16 || many) {
        if (cubes) { (many ? PASTE(cubes_32, SET) : PASTE(cubes_16, SET))(job, box, space); return; }
        if (plates) { (many ? PASTE(plates_32, SET) : PASTE(plates_16, SET))(job, box, space); return; }
        if (squares) { (many ? PASTE(squares_32, SET) : PASTE(squares_16, SET))(job, box, space); return; }
    }
#endif
    PASTE(any_size, SET)(job, box, space);
}

#undef PASTE
#undef PASTE_
#undef SET
#undef ALL_SIZES
#undef LANES
#undef vec
#undef LOAD
#undef STORE
#undef SPLAT
#undef FMA
#undef ANY_BELOW
