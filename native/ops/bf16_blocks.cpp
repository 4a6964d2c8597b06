#include "ops/bf16_blocks.h"

namespace handgrad {

void Bf16Runs::add(int64_t offset, int64_t count) {
    Run* runs = runs_.get();
    int64_t* starts = starts_.get();
    while (count > 0) {
        if (!pieces_ || in_piece_ == piece_) starts[++pieces_] = count_, in_piece_ = 0;
        const int64_t here = std::min(count, piece_ - in_piece_);
        Run* last = count_ > starts[pieces_ - 1] ? runs + count_ - 1 : nullptr;
        if (last && last->offset + last->count == offset)
            last->count += here;
        else
            runs[count_++] = {offset, here};
        starts[pieces_] = count_;
        in_piece_ += here, depth_ += here, offset += here, count -= here;
    }
}

}  // namespace handgrad
