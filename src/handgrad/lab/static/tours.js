// The guided tours: each asks for a guess before it trains and shows.

const A = (width) => ({ layer: "Affine", width });
const conv = (num_filters) => ({ layer: "Conv2d", num_filters, filter_size: 3, pad: 1 });
const common = { epochs: 10, batch_size: 50, rule: "sgd", reg: 0, seed: 0, schedule: "" };

export const TOURS = [
  {
    key: "learning-rate", title: "The learning rate",
    says: "One network, three learning rates of plain gradient descent, each ten times the one before.",
    question: "Which of the three reaches the lowest loss after ten epochs?",
    choices: ["0.005, since small steps are careful", "0.05", "0.5, since large steps go far"], right: 1,
    why: "0.005 has not come far after 240 steps. 0.5 jumps over the valley: its loss is restless, or leaves the chart. A good rate lies just below the one that is too large.",
    look: "Open a run and look at the curve of its loss: smooth and slow, quick, or restless.",
    curve: "loss",
    trials: [
      ["rate 0.005", [A(32), { layer: "ReLU" }, A(10)], { ...common, learning_rate: 0.005 }],
      ["rate 0.05", [A(32), { layer: "ReLU" }, A(10)], { ...common, learning_rate: 0.05 }],
      ["rate 0.5", [A(32), { layer: "ReLU" }, A(10)], { ...common, learning_rate: 0.5 }],
    ],
  },
  {
    key: "initialisation", title: "Initialisation",
    says: "Six layers of tanh, or six of sigmoid, from the same start and with the same rate.",
    question: "A sigmoid's slope is at most 1/4. What does that do to a network of six of them?",
    choices: ["It learns as the one of tanh does", "It hardly learns: the gradient shrinks from layer to layer", "It diverges"], right: 1,
    why: "On the way back the gradient is multiplied by a slope of at most 1/4 at each layer, so the first layers get almost none of it. The start of the weights decides how much of the signal and the gradient arrives.",
    look: "Open both under Network: the orange line below each layer is the size of its gradient, on a scale of tens.",
    curve: "loss",
    trials: [
      ["tanh", [A(32), { layer: "Tanh" }, A(32), { layer: "Tanh" }, A(32), { layer: "Tanh" }, A(32), { layer: "Tanh" }, A(32), { layer: "Tanh" }, A(10)], { ...common, learning_rate: 0.05 }],
      ["sigmoid", [A(32), { layer: "Sigmoid" }, A(32), { layer: "Sigmoid" }, A(32), { layer: "Sigmoid" }, A(32), { layer: "Sigmoid" }, A(32), { layer: "Sigmoid" }, A(10)], { ...common, learning_rate: 0.05 }],
    ],
  },
  {
    key: "batch-norm", title: "Batch normalisation",
    says: "The six sigmoid layers again, without and with batch normalisation in front of each.",
    question: "What does normalising each layer's inputs change?",
    choices: ["Nothing: the slopes of the sigmoid are the same", "It learns: the inputs stay where the sigmoid has a slope, and their spread is restored", "It gets worse, since information is lost"], right: 1,
    why: "Batch normalisation brings each layer's inputs to mean 0 and deviation 1, and so restores the spread that the layers before have lost.",
    look: "Open the second run under Network and compare mean and deviation of the layers.",
    curve: "loss",
    trials: [
      ["without", [A(32), { layer: "Sigmoid" }, A(32), { layer: "Sigmoid" }, A(32), { layer: "Sigmoid" }, A(32), { layer: "Sigmoid" }, A(10)], { ...common, learning_rate: 0.1 }],
      ["with", [A(32), { layer: "BatchNorm" }, { layer: "Sigmoid" }, A(32), { layer: "BatchNorm" }, { layer: "Sigmoid" }, A(32), { layer: "BatchNorm" }, { layer: "Sigmoid" }, A(32), { layer: "BatchNorm" }, { layer: "Sigmoid" }, A(10)], { ...common, learning_rate: 0.1 }],
    ],
  },
  {
    key: "dropout", title: "Dropout",
    says: "A wide network without dropout, and one in which each hidden unit is kept with probability 1/2 at each step.",
    question: "Which one has the lower loss on its own training batches?",
    choices: ["The one with dropout", "The one without", "Both have the same"], right: 1,
    why: "Dropout makes the training harder: each batch goes through another random half of the units. The loss of its steps is higher; that of validation need not be.",
    look: "Compare the loss of the steps with the validation loss of each run.",
    curve: "loss",
    trials: [
      ["without", [A(200), { layer: "ReLU" }, A(10)], { ...common, rule: "adam", learning_rate: 0.002 }],
      ["dropout 0.5", [A(200), { layer: "ReLU" }, { layer: "Dropout", p: 0.5 }, A(10)], { ...common, rule: "adam", learning_rate: 0.002 }],
    ],
  },
  {
    key: "convolution", title: "Convolution",
    says: "A dense network and a convolutional one, with about as many parameters, on pictures of shapes.",
    question: "Which one does better on pictures it has not seen?",
    choices: ["The dense one: each unit sees the whole picture", "The convolutional one: what it learns at one place it knows at all places", "Neither"], right: 1,
    why: "A shape may stand anywhere in the picture. The convolution uses the same weights at all places; the dense layer must learn every place by itself.",
    look: "Open the convolutional run under Network and choose its first layer: its filters and what they make of a picture.",
    curve: "val_acc", data: "shapes",
    trials: [
      ["dense", [A(8), { layer: "ReLU" }, A(10)], { ...common, rule: "adam", learning_rate: 0.002, epochs: 6 }],
      ["convolution", [conv(16), { layer: "ReLU" }, { layer: "MaxPool" }, conv(24), { layer: "ReLU" }, { layer: "MaxPool" }, conv(24), { layer: "ReLU" }, { layer: "MaxPool" }, A(10)], { ...common, rule: "adam", learning_rate: 0.002, epochs: 6 }],
    ],
  },
  {
    key: "overfitting", title: "Overfitting",
    says: "A large network, with and without L2 regularisation, trained for long on pictures of shapes as numbers.",
    question: "After forty epochs, what is the training accuracy of the network without regularisation?",
    choices: ["About that of validation", "Far above that of validation", "Below that of validation"], right: 1,
    why: "It has enough parameters to learn its training pictures by heart, which does not help with others. The gap between the two curves is overfitting.",
    look: "Open both runs under Curves, and compare training and validation accuracy.",
    curve: "train_acc", data: "shapes",
    trials: [
      ["reg 0", [A(128), { layer: "ReLU" }, A(10)], { ...common, rule: "adam", learning_rate: 0.001, epochs: 40 }],
      ["reg 0.1", [A(128), { layer: "ReLU" }, A(10)], { ...common, rule: "adam", learning_rate: 0.001, epochs: 40, reg: 0.1 }],
    ],
  },
];
