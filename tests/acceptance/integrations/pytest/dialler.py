"""The program under test: it reports a missed call."""
import json
import urllib.request

CDR = {"type": "cdr", "leg": "a", "status": "missed", "direction": "outbound", "hangup_reason": "recv_cancel", "appid": 2222223,
       "user": "202_2222223", "to": 442000000000, "virtual_number": "440000000000", "time": 1650628175336,
       "cmiuuid": "15b58236-734f-4000-a5e8-78284068f5c7", "call_id": "c4504776-d91e-123b-29a7-56000429abc3", "custom": "none"}


def place_a_call(url):
    request = urllib.request.Request(url, json.dumps(CDR).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()
