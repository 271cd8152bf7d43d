#include "softmax.h"

#include <stdio.h>

int main(void) {
  float x[64] = {0};
  x[5] = 2;
  x[32 + 7] = 3;
  quern_model *model = quern_open();
  quern_tensor y;
  if (!model || smooth_softmax(model, x, 2, &y)) {
    printf("%s\n", quern_error());
    return 1;
  }
  for (int row = 0; row < 2; ++row) {
    const float *values = (const float *)y.data + 32 * row;
    float sum = 0;
    int largest = 0;
    for (int i = 0; i < 32; ++i) {
      sum += values[i];
      if (values[i] > values[largest])
        largest = i;
    }
    printf("row %d: sum %f, largest at %d\n", row, sum, largest);
  }
  quern_close(model);
  return 0;
}
