/* The layers of an exported C file, in integers.  A number of a layer is  scale (q - zero)  with an int8 q; sums are
   int32, and go to the next layer's scale by a multiplier M / 2^shift.  interop/int8.py computes the same in NumPy. */

/* --- clip */
static inline int NAME_clip(int value, int low, int high) {
  return value < low ? low : value > high ? high : value;
}

/* --- scaled: sum M / 2^shift, rounded to the nearest */
static inline int32_t NAME_scaled(int32_t sum, int32_t M, int shift) {
  const int64_t product = (int64_t)sum * M, half = (int64_t)1 << (shift - 1);
  const int64_t near = ((product < 0 ? -product : product) + half) >> shift;
  return (int32_t)(product < 0 ? -near : near);
}

/* --- narrow: a number of the next layer, in [low, 127] */
static inline int8_t NAME_narrow(int32_t value, int low) {
  return (int8_t)(value < low ? low : value > 127 ? 127 : value);
}

/* --- nearest_int: the nearest integer, in [-128, 127] */
static inline int8_t NAME_nearest_int(float value) {
  const float near = value >= 0.0f ? value + 0.5f : value - 0.5f;
  return (int8_t)(near <= -128.0f ? -128 : near >= 127.0f ? 127 : (int)near);
}

/* --- columns: the numbers of a table's columns; kind 0: the number, or value where it is missing (NaN);
   1: whether it is value; 2: whether it is missing */
static inline void NAME_columns(const float *x, const int32_t *source, const uint8_t *kind, const float *value,
                                float *out, int count) {
  for (int d = 0; d < count; ++d) {
    const float v = x[source[d]];
    const int missing = !(v <= 0.0f || v > 0.0f);
    if (kind[d] == 0)
      out[d] = missing ? value[d] : v;
    else
      out[d] = kind[d] == 1 ? (v >= value[d] && v <= value[d] ? 1.0f : 0.0f) : (missing ? 1.0f : 0.0f);
  }
}

/* --- quantize: q = x factor + shift, rounded; a factor and shift for each of `each` numbers in a row */
static inline void NAME_quantize(const float *x, const float *factor, const float *shift, int8_t *out, int count,
                                 int each) {
  for (int i = 0; i < count; ++i) {
    const float product = x[i] * factor[i / each];
    out[i] = NAME_nearest_int(product + shift[i / each]);
  }
}

/* --- dequantize: scores = scale (q - zero) */
static inline void NAME_dequantize(const int8_t *x, float *out, int count, float scale, int zero) {
  for (int i = 0; i < count; ++i) out[i] = scale * (float)(x[i] - zero);
}

/* --- affine_sum: (x - zero) W[m] + b[m], with W as [output][input] */
static inline int32_t NAME_affine_sum(const int8_t *x, const int8_t *W, int32_t b, int D, int zero) {
  int32_t sum = b;
  for (int d = 0; d < D; ++d) sum += (x[d] - zero) * W[d];
  return sum;
}

/* --- affine: out = x W + b */
static inline void NAME_affine(const int8_t *x, const int8_t *W, const int32_t *b, const int32_t *M,
                               const int8_t *shift, int8_t *out, int D, int outputs, int zero, int next, int low) {
  for (int m = 0; m < outputs; ++m) {
    const int32_t sum = NAME_affine_sum(x, W + m * D, b[m], D, zero);
    out[m] = NAME_narrow(NAME_scaled(sum, M[m], shift[m]) + next, low);
  }
}

/* --- scores: the last affine layer, whose sums become floats */
static inline void NAME_scores(const int8_t *x, const int8_t *W, const int32_t *b, const float *scale, float *out, int D,
                               int outputs, int zero) {
  for (int m = 0; m < outputs; ++m) out[m] = (float)NAME_affine_sum(x, W + m * D, b[m], D, zero) * scale[m];
}

/* --- begin: the first j >= 0 for which j step + start is not below 0 */
static inline int NAME_begin(int start, int step) { return start < 0 ? (step - 1 - start) / step : 0; }

/* --- end: behind the last j < count for which j step + start is below `size` */
static inline int NAME_end(int start, int step, int count, int size) {
  return start < size ? NAME_clip((size - 1 - start) / step + 1, 0, count) : 0;
}

/* --- patch: what a filter sees at one place, less `zero` */
static inline void NAME_patch(const int8_t *restrict x, int16_t *restrict out, int channels, int H, int Wd, int HH,
                              int WW, int y, int z, int dy, int dx, int zero) {
  const int inside = z >= 0 && z + (WW - 1) * dx < Wd;
  for (int c = 0; c < channels; ++c)
    for (int u = 0; u < HH; ++u) {
      const int r = y + u * dy, is_row = r >= 0 && r < H, start = (c * H + r) * Wd + z;
      for (int v = 0; v < WW; ++v) {
        const int q = z + v * dx;
        *out++ = (int16_t)(is_row && (inside || (q >= 0 && q < Wd)) ? x[start + v * dx] - zero : 0);
      }
    }
}

/* --- dots: the products of a filter and four patches; a compiler multiplies numbers of 16 bits in pairs */
static inline void NAME_dots(const int16_t *restrict a, const int8_t *restrict w, int32_t *restrict sums, int count) {
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (int d = 0; d < count; ++d) {
    const int16_t weight = w[d];
    s0 += weight * a[d];
    s1 += weight * a[count + d];
    s2 += weight * a[2 * count + d];
    s3 += weight * a[3 * count + d];
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

/* --- conv: out[f][i][j] = sum of W[f][c][u][v] x[c][i sy + u dy - py][j sx + v dx - px] + b[f]; all filters see four
   places at once, whose `patches` are copied side by side */
static inline void NAME_conv(const int8_t *restrict x, const int8_t *restrict W, const int32_t *b, const int32_t *M,
                             const int8_t *shift, int16_t *restrict patches, int8_t *restrict out, int C, int H, int Wd,
                             int F, int rows, int columns, int HH, int WW, int sy, int sx, int py, int px, int dy,
                             int dx, int groups, int zero, int next, int low) {
  const int channels = C / groups, filters = F / groups, count = channels * HH * WW, places = rows * columns;
  for (int g = 0; g < groups; ++g)
    for (int i = 0; i < places; i += 4) {
      const int many = places - i < 4 ? places - i : 4;
      for (int k = 0; k < many; ++k)
        NAME_patch(x + g * channels * H * Wd, patches + k * count, channels, H, Wd, HH, WW,
                   (i + k) / columns * sy - py, (i + k) % columns * sx - px, dy, dx, zero);
      for (int f = g * filters; f < (g + 1) * filters; ++f) {
        int32_t sums[4];
        NAME_dots(patches, W + f * count, sums, count);
        for (int k = 0; k < many; ++k)
          out[f * places + i + k] = NAME_narrow(NAME_scaled(b[f] + sums[k], M[f], shift[f]) + next, low);
      }
    }
}

/* --- conv_rows: the same where a group has few filters; each weight goes along a whole row, and `sums` holds it */
static inline void NAME_conv_rows(const int8_t *restrict x, const int8_t *restrict W, const int32_t *b,
                                  const int32_t *M, const int8_t *shift, int32_t *restrict sums, int8_t *restrict out,
                                  int C, int H, int Wd, int F, int rows, int columns, int HH, int WW, int sy, int sx,
                                  int py, int px, int dy, int dx, int groups, int zero, int next, int low) {
  const int channels = C / groups, filters = F / groups, count = channels * HH * WW;
  for (int f = 0; f < F; ++f)
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) sums[j] = b[f];
      for (int c = 0; c < channels; ++c)
        for (int u = 0; u < HH; ++u) {
          const int r = i * sy + u * dy - py;
          if (r < 0 || r >= H) continue;
          const int8_t *row = x + ((f / filters * channels + c) * H + r) * Wd;
          for (int v = 0; v < WW; ++v) {
            const int8_t w = W[f * count + (c * HH + u) * WW + v];
            const int start = v * dx - px, begin = NAME_begin(start, sx), end = NAME_end(start, sx, columns, Wd);
            for (int j = begin; j < end; ++j) sums[j] += w * (row[j * sx + start] - zero);
          }
        }
      for (int j = 0; j < columns; ++j)
        out[(f * rows + i) * columns + j] = NAME_narrow(NAME_scaled(sums[j], M[f], shift[f]) + next, low);
    }
}

/* --- conv_transpose: out[f][i][j] = sum of x[c][r][q] W[c][f][u][v] where i = r sy + u dy - py, j = ... */
static inline void NAME_conv_transpose(const int8_t *x, const int8_t *W, const int32_t *b, const int32_t *M,
                                       const int8_t *shift, int8_t *out, int C, int H, int Wd, int F, int rows,
                                       int columns, int HH, int WW, int sy, int sx, int py, int px, int dy, int dx,
                                       int groups, int zero, int next, int low) {
  const int channels = C / groups, filters = F / groups;
  for (int f = 0; f < F; ++f)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        int32_t sum = b[f];
        for (int c = f / filters * channels; c < (f / filters + 1) * channels; ++c)
          for (int u = 0; u < HH; ++u) {
            const int r = i + py - u * dy;
            if (r < 0 || r % sy || r / sy >= H) continue;
            for (int v = 0; v < WW; ++v) {
              const int q = j + px - v * dx;
              if (q < 0 || q % sx || q / sx >= Wd) continue;
              sum += (x[(c * H + r / sy) * Wd + q / sx] - zero) * W[((c * filters + f % filters) * HH + u) * WW + v];
            }
          }
        out[(f * rows + i) * columns + j] = NAME_narrow(NAME_scaled(sum, M[f], shift[f]) + next, low);
      }
}

/* --- channels: out = factor x + shift, with a factor and shift for each channel of `each` numbers */
static inline void NAME_channels(const int8_t *x, const int32_t *M, const int8_t *shift, const int32_t *plus, int8_t *out,
                                 int count, int each, int zero, int low) {
  for (int i = 0; i < count; ++i) {
    const int c = i / each;
    out[i] = NAME_narrow(NAME_scaled(x[i] - zero, M[c], shift[c]) + plus[c], low);
  }
}

/* --- rsqrt: 1 / sqrt(x), by Newton's method from a first guess in the exponent */
static inline float NAME_rsqrt(float x) {
  uint32_t bits;
  float y;
  memcpy(&bits, &x, sizeof bits);
  bits = 0x5f3759dfu - (bits >> 1);
  memcpy(&y, &bits, sizeof y);
  for (int k = 0; k < 4; ++k) y *= 1.5f - 0.5f * x * y * y;
  return y;
}

/* --- groupnorm: of each group of channels, with exact sums; gamma and beta are in units of the output */
static inline void NAME_groupnorm(const int8_t *x, const float *gamma, const float *beta, int8_t *out, int count,
                                  int groups, int each, float eps) {
  const int part = count / groups;
  for (int g = 0; g < groups; ++g) {
    int64_t sum = 0, squares = 0;
    for (int i = g * part; i < (g + 1) * part; ++i) {
      sum += x[i];
      squares += (int64_t)x[i] * x[i];
    }
    const float mean = (float)sum / (float)part;
    const float var = (float)(squares * part - sum * sum) / ((float)part * (float)part);
    const float scale = NAME_rsqrt(var + eps);
    for (int i = g * part; i < (g + 1) * part; ++i) {
      const float xhat = ((float)x[i] - mean) * scale;
      const float product = gamma[i / each] * xhat;
      out[i] = NAME_nearest_int(product + beta[i / each]);
    }
  }
}

/* --- table: out = table[x], a function of one number */
static inline void NAME_table(const int8_t *x, const int8_t *table, int8_t *out, int count) {
  for (int i = 0; i < count; ++i) out[i] = table[x[i] + 128];
}

/* --- prelu: x, and where it is negative a x, with a slope for each channel of `each` numbers */
static inline void NAME_prelu(const int8_t *x, const int32_t *M, const int8_t *shift, int8_t *out, int count, int each,
                              int zero, int next, int32_t M1, int shift1) {
  for (int i = 0; i < count; ++i) {
    const int32_t value = x[i] - zero;
    const int c = i / each;
    const int32_t big = value > 0 ? NAME_scaled(value, M1, shift1) : NAME_scaled(value, M[c], shift[c]);
    out[i] = NAME_narrow(big + next, -128);
  }
}

/* --- add: out = a + b, each at its own scale; the sum has 8 more binary digits than the output */
static inline void NAME_add(const int8_t *a, const int8_t *b, int8_t *out, int count, int zero_a, int32_t Ma, int shift_a,
                            int zero_b, int32_t Mb, int shift_b, int next, int low) {
  for (int i = 0; i < count; ++i) {
    const int32_t sum = NAME_scaled(a[i] - zero_a, Ma, shift_a) + NAME_scaled(b[i] - zero_b, Mb, shift_b);
    out[i] = NAME_narrow(NAME_scaled(sum, 1, 8) + next, low);
  }
}

/* --- rescale: out = x at another scale */
static inline void NAME_rescale(const int8_t *x, int8_t *out, int count, int zero, int32_t M, int shift, int next) {
  for (int i = 0; i < count; ++i) out[i] = NAME_narrow(NAME_scaled(x[i] - zero, M, shift) + next, -128);
}

/* --- copy: out = x */
static inline void NAME_copy(const int8_t *x, int8_t *out, int count) {
  for (int i = 0; i < count; ++i) out[i] = x[i];
}

/* --- maxout: out = the largest of `pieces` neighbouring channels of `each` numbers */
static inline void NAME_maxout(const int8_t *x, int8_t *out, int channels, int pieces, int each) {
  for (int c = 0; c < channels; ++c)
    for (int i = 0; i < each; ++i) {
      int8_t largest = x[c * pieces * each + i];
      for (int k = 1; k < pieces; ++k) {
        const int8_t value = x[(c * pieces + k) * each + i];
        if (value > largest) largest = value;
      }
      out[c * each + i] = largest;
    }
}

/* --- max_pool: out = the largest of each window */
static inline void NAME_max_pool(const int8_t *x, int8_t *out, int C, int H, int Wd, int rows, int columns, int HH,
                                 int WW, int sy, int sx, int py, int px) {
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        const int top = NAME_clip(i * sy - py, 0, H), bottom = NAME_clip(i * sy - py + HH, 0, H);
        const int left = NAME_clip(j * sx - px, 0, Wd), right = NAME_clip(j * sx - px + WW, 0, Wd);
        int8_t largest = -128;
        for (int r = top; r < bottom; ++r)
          for (int q = left; q < right; ++q)
            if (x[(c * H + r) * Wd + q] > largest) largest = x[(c * H + r) * Wd + q];
        out[(c * rows + i) * columns + j] = largest;
      }
}

/* --- divided: sum / count, rounded to the nearest */
static inline int32_t NAME_divided(int32_t sum, int32_t count) {
  return sum >= 0 ? (sum + count / 2) / count : -((count / 2 - sum) / count);
}

/* --- avg_pool: out = the mean of each window; with `counts` the padding of py and px counts, too */
static inline void NAME_avg_pool(const int8_t *x, int8_t *out, int C, int H, int Wd, int rows, int columns, int HH,
                                 int WW, int sy, int sx, int py, int px, int counts, int zero) {
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        const int y = i * sy - py, z = j * sx - px;
        const int top = NAME_clip(y, 0, H), bottom = NAME_clip(y + HH, 0, H);
        const int left = NAME_clip(z, 0, Wd), right = NAME_clip(z + WW, 0, Wd);
        const int high = counts ? NAME_clip(y + HH, -py, H + py) - y : bottom - top;
        const int wide = counts ? NAME_clip(z + WW, -px, Wd + px) - z : right - left;
        int32_t sum = 0;
        for (int r = top; r < bottom; ++r)
          for (int q = left; q < right; ++q) sum += x[(c * H + r) * Wd + q] - zero;
        out[(c * rows + i) * columns + j] = NAME_narrow(NAME_divided(sum, high * wide) + zero, -128);
      }
}

/* --- nearest: out[c][i][j] = x[c][i / sy][j / sx] */
static inline void NAME_nearest(const int8_t *x, int8_t *out, int C, int H, int Wd, int sy, int sx) {
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < H * sy; ++i)
      for (int j = 0; j < Wd * sx; ++j) out[(c * H * sy + i) * Wd * sx + j] = x[(c * H + i / sy) * Wd + j / sx];
}

/* --- bilinear: between the pixels; row i lies at (2 i + 1 - sy) / (2 sy), so the shares are whole numbers */
static inline void NAME_bilinear(const int8_t *x, int8_t *out, int C, int H, int Wd, int sy, int sx, int zero) {
  for (int i = 0; i < H * sy; ++i)
    for (int j = 0; j < Wd * sx; ++j) {
      const int y = NAME_clip(2 * i + 1 - sy, 0, 2 * sy * (H - 1)), z = NAME_clip(2 * j + 1 - sx, 0, 2 * sx * (Wd - 1));
      const int r = y / (2 * sy), q = z / (2 * sx), a = y % (2 * sy), b = z % (2 * sx);
      const int below = NAME_clip(r + 1, 0, H - 1), beside = NAME_clip(q + 1, 0, Wd - 1);
      for (int c = 0; c < C; ++c) {
        const int8_t *image = x + c * H * Wd;
        const int first = (2 * sx - b) * (image[r * Wd + q] - zero) + b * (image[r * Wd + beside] - zero);
        const int second = (2 * sx - b) * (image[below * Wd + q] - zero) + b * (image[below * Wd + beside] - zero);
        const int32_t sum = (2 * sy - a) * first + a * second;
        out[(c * H * sy + i) * Wd * sx + j] = NAME_narrow(NAME_divided(sum, 4 * sy * sx) + zero, -128);
      }
    }
}

/* --- pad: an image with `value` around it */
static inline void NAME_pad(const int8_t *x, int8_t *out, int C, int H, int Wd, int rows, int columns, int top, int left,
                            int8_t value) {
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        const int r = i - top, q = j - left;
        const int inside = r >= 0 && r < H && q >= 0 && q < Wd;
        out[(c * rows + i) * columns + j] = inside ? x[(c * H + r) * Wd + q] : value;
      }
}

/* --- permute: out[i][j][k] = x at strides a, b, c */
static inline void NAME_permute(const int8_t *x, int8_t *out, int I, int J, int K, int a, int b, int c) {
  for (int i = 0; i < I; ++i)
    for (int j = 0; j < J; ++j)
      for (int k = 0; k < K; ++k) out[(i * J + j) * K + k] = x[i * a + j * b + k * c];
}
