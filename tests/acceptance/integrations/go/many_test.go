package example

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"example/telecmicdr"
)

const cdr = `{"type":"cdr","leg":"a","status":"missed","direction":"outbound","hangup_reason":"recv_cancel","appid":2222223,` +
	`"user":"202_2222223","to":442000000000,"virtual_number":"440000000000","time":1650628175336,"custom":"none",` +
	`"cmiuuid":"15b58236-734f-4000-a5e8-78284068f5c7","call_id":"c4504776-d91e-123b-29a7-56000429abc3"}`

// placeACall is the program under test: it reports a missed call.
func placeACall(t *testing.T, url string) {
	response, err := http.Post(url, "application/json", strings.NewReader(cdr))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

func handlerURL(t *testing.T) string {
	return telecmicdr.Listen(t).URL + "/webhook/cdr"
}

func TestMany(t *testing.T) {
	count, _ := strconv.Atoi(os.Getenv("TESTS"))
	for number := 0; number < count; number++ {
		custom := fmt.Sprint("test ", number)
		t.Run(custom, func(t *testing.T) {
			t.Parallel()
			listener := telecmicdr.Listen(t)
			telecmicdr.Send(t, listener.URL, "--custom", custom)
			listener.Wait(t, 1, time.Minute, map[string]any{"custom": custom})
			if exchanges := listener.Exchanges(); len(exchanges) != 1 {
				t.Fatalf("%+v", exchanges)
			}
		})
	}
}
