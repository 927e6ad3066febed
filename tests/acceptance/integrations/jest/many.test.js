const { many } = require('../many.js')

many(test.concurrent)
