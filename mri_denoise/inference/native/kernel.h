/* One build of the filter, for one instruction set and one size of blocks and groups.
 *
 * Include it with these macros, of which it undefines KERNEL and the edges:
 *   KERNEL                    name of the function, void KERNEL(const filter_job *, const grid_box *, workspace *)
 *   EDGE0 EDGE1 EDGE2 MEMBERS voxels of a block and blocks of a group: numbers, or fields of `job`
 *   UNROLL                    a pragma that unrolls the loop after it, or nothing
 * and those of the instruction set, see filter.c.
 *
 * A block is EDGE0 x EDGE1 rows of ROW floats, of which EDGE2 count and the others are 0.
 */

#define LOCAL(name) PASTE(KERNEL, name)

/* Cosine transform of a line in place: even coefficients are made of sums of mirrored elements, odd ones of differences. */
INLINE void LOCAL(forward)(vec *x, const float *matrix, const int n) {
    vec sums[MAX_EDGE / 2 + 1], differences[MAX_EDGE / 2];
    UNROLL
    for (int i = 0; i < n / 2; i++) {
        sums[i] = x[i] + x[n - 1 - i];
        differences[i] = x[i] - x[n - 1 - i];
    }
    if (n & 1) sums[n / 2] = x[n / 2];
    UNROLL
    for (int k = 0; k < n; k += 2) {
        vec total = SPLAT(matrix[k * n]) * sums[0];
        UNROLL
        for (int i = 1; i < (n + 1) / 2; i++) total = FMA(SPLAT(matrix[k * n + i]), sums[i], total);
        x[k] = total;
    }
    UNROLL
    for (int k = 1; k < n; k += 2) {
        vec total = SPLAT(matrix[k * n]) * differences[0];
        UNROLL
        for (int i = 1; i < n / 2; i++) total = FMA(SPLAT(matrix[k * n + i]), differences[i], total);
        x[k] = total;
    }
}

INLINE void LOCAL(inverse)(vec *x, const float *matrix, const int n) {
    vec out[MAX_EDGE];
    UNROLL
    for (int i = 0; i < n / 2; i++) {
        vec even = SPLAT(matrix[i]) * x[0], odd = SPLAT(matrix[n + i]) * x[1];
        UNROLL
        for (int k = 2; k < n; k += 2) even = FMA(SPLAT(matrix[k * n + i]), x[k], even);
        UNROLL
        for (int k = 3; k < n; k += 2) odd = FMA(SPLAT(matrix[k * n + i]), x[k], odd);
        out[i] = even + odd;
        out[n - 1 - i] = even - odd;
    }
    if (n & 1) { /* odd coefficients are 0 in the middle */
        vec even = SPLAT(matrix[n / 2]) * x[0];
        UNROLL
        for (int k = 2; k < n; k += 2) even = FMA(SPLAT(matrix[k * n + n / 2]), x[k], even);
        out[n / 2] = even;
    }
    UNROLL
    for (int i = 0; i < n; i++) x[i] = out[i];
}

/* Walsh-Hadamard transform of a group in place, without its factor 1 / sqrt(n). Done twice, it multiplies by n. */
INLINE void LOCAL(hadamard)(vec *x, const int n) {
    UNROLL
    for (int half = 1; half < n; half *= 2) {
        UNROLL
        for (int i = 0; i < n / 2; i++) {
            vec *low = x + i / half * 2 * half + i % half, *high = low + half;
            const vec sum = *low + *high;
            *high = *low - *high;
            *low = sum;
        }
    }
}

/* Gather the blocks that begin at `places` and transform them in space. */
INLINE void LOCAL(gather)(
    const filter_job *job, const workspace *space, const float *volume, const int64_t *places, float *blocks) {
    const int64_t row = job->shape[2], plane = job->shape[1] * row;
    for (int piece = 0; piece < ROW; piece += LANES) {
        vec table[MAX_EDGE], x[MAX_EDGE];
        UNROLL
        for (int k = 0; k < EDGE2; k++) table[k] = LOAD(space->forward[k] + piece);
        for (int g = 0; g < MEMBERS; g++) {
            float *block = blocks + g * EDGE0 * EDGE1 * ROW + piece;
            for (int i = 0; i < EDGE0; i++) {
                const float *voxels = volume + places[g] + i * plane;
                UNROLL
                for (int j = 0; j < EDGE1; j++, voxels += row) {
                    x[j] = SPLAT(voxels[0]) * table[0];
                    UNROLL
                    for (int k = 1; k < EDGE2; k++) x[j] = FMA(SPLAT(voxels[k]), table[k], x[j]);
                }
                if (EDGE1 > 1) LOCAL(forward)(x, job->transforms[1], EDGE1);
                UNROLL
                for (int j = 0; j < EDGE1; j++) STORE(block + (i * EDGE1 + j) * ROW, x[j]);
            }
            for (int j = 0; j < EDGE1 && EDGE0 > 1; j++) {
                UNROLL
                for (int i = 0; i < EDGE0; i++) x[i] = LOAD(block + (i * EDGE1 + j) * ROW);
                LOCAL(forward)(x, job->transforms[0], EDGE0);
                UNROLL
                for (int i = 0; i < EDGE0; i++) STORE(block + (i * EDGE1 + j) * ROW, x[i]);
            }
        }
    }
}

/* Transform the blocks back and add them, weighted, to the values. */
INLINE void LOCAL(scatter)(
    const filter_job *job, const workspace *space, float *blocks, const int64_t *places, const float weight) {
    const int64_t row = job->shape[2], plane = job->shape[1] * row;
    vec x[MAX_EDGE];
    for (int g = 0; g < MEMBERS; g++) {
        float *block = blocks + g * EDGE0 * EDGE1 * ROW;
        for (int piece = 0; piece < ROW; piece += LANES) {
            for (int j = 0; j < EDGE1 && EDGE0 > 1; j++) {
                UNROLL
                for (int i = 0; i < EDGE0; i++) x[i] = LOAD(block + (i * EDGE1 + j) * ROW + piece);
                LOCAL(inverse)(x, job->transforms[0], EDGE0);
                UNROLL
                for (int i = 0; i < EDGE0; i++) STORE(block + (i * EDGE1 + j) * ROW + piece, x[i]);
            }
            for (int i = 0; i < EDGE0 && EDGE1 > 1; i++) {
                UNROLL
                for (int j = 0; j < EDGE1; j++) x[j] = LOAD(block + (i * EDGE1 + j) * ROW + piece);
                LOCAL(inverse)(x, job->transforms[1], EDGE1);
                UNROLL
                for (int j = 0; j < EDGE1; j++) STORE(block + (i * EDGE1 + j) * ROW + piece, x[j]);
            }
        }
    }
    vec table[MAX_EDGE][ROW / LANES];
    UNROLL
    for (int k = 0; k < EDGE2; k++)
        for (int piece = 0; piece < ROW / LANES; piece++) table[k][piece] = LOAD(space->backward[k] + piece * LANES);
    for (int g = 0; g < MEMBERS; g++)
        for (int i = 0; i < EDGE0; i++) {
            const float *coefficients = blocks + (g * EDGE0 + i) * EDGE1 * ROW;
            const int64_t place = places[g] + i * plane;
            float *values = job->values + place, *weights = job->weights + place;
            UNROLL
            for (int j = 0; j < EDGE1; j++, values += row, weights += row, coefficients += ROW) {
                float voxels[ROW], parts[ROW];
                for (int piece = 0; piece < ROW / LANES; piece++) {
                    vec total = SPLAT(coefficients[0]) * table[0][piece];
                    UNROLL
                    for (int k = 1; k < EDGE2; k++) total = FMA(SPLAT(coefficients[k]), table[k][piece], total);
                    const vec part = SPLAT(weight) * LOAD(space->window + (i * EDGE1 + j) * ROW + piece * LANES);
                    STORE(parts + piece * LANES, part);
                    STORE(voxels + piece * LANES, total * part);
                }
                UNROLL
                for (int k = 0; k < EDGE2; k++) {
                    values[k] += voxels[k];
                    weights[k] += parts[k];
                }
            }
        }
}

/* Multiply the coefficients of the noisy blocks by P^2 / (P^2 + noise), P being those of the pilot, between transforms
 * along the group. Returns the noise that is left, relative to that of a voxel. */
INLINE float LOCAL(shrink)(const filter_job *job, workspace *space, const float noise) {
    (void)job; /* of which the sizes may be fields */
    const int step = EDGE0 * EDGE1 * ROW;
    const vec power_of_one = SPLAT(noise * (float)MEMBERS), back = SPLAT(1 / (float)MEMBERS);
    float left[ROW] = {0};
    for (int at = 0; at < step; at += LANES) {
        const vec spectrum = LOAD(space->spectrum + at), floor = power_of_one * spectrum;
        vec x[MAX_MEMBERS], gain[MAX_MEMBERS], squares = SPLAT(0);
        UNROLL
        for (int g = 0; g < MEMBERS; g++) x[g] = LOAD(space->pilot + at + g * step);
        LOCAL(hadamard)(x, MEMBERS);
        UNROLL
        for (int g = 0; g < MEMBERS; g++) {
            const vec power = x[g] * x[g];
            gain[g] = power / (power + floor);
            squares = FMA(gain[g], gain[g], squares);
        }
        STORE(left + at % ROW, FMA(squares, spectrum, LOAD(left + at % ROW)));
        UNROLL
        for (int g = 0; g < MEMBERS; g++) x[g] = LOAD(space->noisy + at + g * step);
        LOCAL(hadamard)(x, MEMBERS);
        UNROLL
        for (int g = 0; g < MEMBERS; g++) x[g] *= gain[g] * back;
        LOCAL(hadamard)(x, MEMBERS);
        UNROLL
        for (int g = 0; g < MEMBERS; g++) STORE(space->noisy + at + g * step, x[g]);
    }
    float total = 0;
    for (int k = 0; k < EDGE2; k++) total += left[k];
    return total;
}

/* Sum the squared differences between the blocks of a line and the blocks at each offset from them: along the first axis,
 * then the second, then the third, and rounded each time, as block_matching.block_distances does. */
INLINE void LOCAL(compare)(const filter_job *job, workspace *space) {
    const block_line *line = &space->line;
    const float *here = space->near + (job->reach[0] * LINE_ROWS + job->reach[1]) * LINE + job->reach[2];
    for (int o = 0; o < job->offset_count; o++) {
        const int32_t *offset = job->offsets + 3 * o;
        const float *there = here + (offset[0] * LINE_ROWS + offset[1]) * LINE + offset[2];
        float sums[SPAN + ROW];
        for (int v = 0; v < line->length; v += LANES) {
            vec total = SPLAT(0);
            UNROLL
            for (int j = 0; j < EDGE1; j++) {
                vec column = SPLAT(0);
                UNROLL
                for (int i = 0; i < EDGE0; i++) {
                    const int at = (i * LINE_ROWS + j) * LINE + v;
                    const vec difference = LOAD(here + at) - LOAD(there + at);
                    column += difference * difference;
                }
                total += column;
            }
            STORE(sums + v, total);
        }
        for (int n = 0; n < line->count; n++) {
            const float *sum = sums + line->places[n];
            float distance = sum[0];
            UNROLL
            for (int k = 1; k < EDGE2; k++) distance += sum[k];
            space->distances[n * space->padded_offsets + o] = distance;
        }
    }
}

/* Find the offsets of the smallest distances, in ascending order. Blocks beyond the volume are infinitely far, and no
 * comparison with NaN is true: where too few blocks remain, the block itself (offset 0) takes their places. */
INLINE void LOCAL(select)(const filter_job *job, const workspace *space, const int n, int *nearest) {
    (void)job; /* of which MEMBERS may be a field */
    const float *distances = space->distances + n * space->padded_offsets;
    float best[MAX_MEMBERS];
    for (int g = 0; g < MEMBERS; g++) {
        best[g] = FLT_MAX;
        nearest[g] = 0;
    }
    for (int o = 0; o < space->padded_offsets; o += LANES) {
        if (!ANY_BELOW(LOAD(distances + o), SPLAT(best[MEMBERS - 1]))) continue;
        for (int k = 0; k < LANES; k++) {
            const float distance = distances[o + k];
            int g = MEMBERS - 1;
            if (!(distance < best[g])) continue;
            for (; g > 0 && best[g - 1] > distance; g--) {
                best[g] = best[g - 1];
                nearest[g] = nearest[g - 1];
            }
            best[g] = distance;
            nearest[g] = o + k;
        }
    }
}

/* Filter the n-th block of a line together with those nearest to it. */
INLINE void LOCAL(filter_group)(const filter_job *job, workspace *space, const int n) {
    const block_line *line = &space->line;
    const int64_t rows = job->shape[1], columns = job->shape[2];
    const int64_t place = (line->first[0] * rows + line->first[1]) * columns + line->first[2] + line->places[n];
    int nearest[MAX_MEMBERS];
    int64_t places[MAX_MEMBERS];
    LOCAL(select)(job, space, n, nearest);
    for (int g = 0; g < MEMBERS; g++) {
        const int32_t *offset = job->offsets + 3 * nearest[g];
        places[g] = place + (offset[0] * rows + offset[1]) * columns + offset[2];
    }
    LOCAL(gather)(job, space, job->pilot, places, space->pilot);
    LOCAL(gather)(job, space, job->unbiased, places, space->noisy);
    const float power = line->power[n];
    const float left = LOCAL(shrink)(job, space, job->shrinkage * (power > job->least_power ? power : job->least_power));
    LOCAL(scatter)(job, space, space->noisy, places, 1 / (left > job->least_left ? left : job->least_left));
}

static void KERNEL(const filter_job *job, const grid_box *box, workspace *space) {
    for (int64_t a = box->first0; a < box->end0; a++)
        for (int64_t b = box->first1; b < box->end1; b++)
            for (int64_t next = 0; next < job->counts[2];) {
                next = collect_line(job, a, b, next, &space->line);
                if (!space->line.count) continue;
                copy_near(job, &space->line, space->near);
                LOCAL(compare)(job, space);
                for (int n = 0; n < space->line.count; n++) LOCAL(filter_group)(job, space, n);
            }
}

#undef LOCAL
#undef KERNEL
#undef EDGE0
#undef EDGE1
#undef EDGE2
